import type { Browser, Locator } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CANARY_SECRET } from '../canaries.ts'
import { go, openBrowser, openPage, signIn } from './browser.ts'
import { openHost } from './host.ts'

let browser: Browser
beforeAll(async () => {
  browser = await openBrowser()
})
afterAll(() => browser.close())

describe('the page of secrets', () => {
  test('takes a value in exactly as it was typed, and never gives it out again', async () => {
    await using host = await openHost({ keks: ['v1'] })
    await using watched = await openPage(browser, host)
    const { page } = watched
    const answers: Promise<string>[] = []
    page.on('response', (response) => {
      if (!response.url().endsWith('/events')) answers.push(response.text().catch(() => ''))
    })
    await signIn(page, host.url)
    await go(page, 'Secrets')
    await page.getByText('No secret yet').waitFor()
    await page.getByRole('button', { name: 'Store a secret' }).click()
    const dialog = page.getByRole('dialog', { name: 'Store a secret' })
    const store = dialog.getByRole('button', { name: 'Store' })
    expect(await store.getAttribute('title')).toBe('Give it a name first.')
    await dialog.getByLabel('Name').fill('openai/prod')
    const value = dialog.getByRole('textbox', { name: 'Value' })
    const typed = `  ${CANARY_SECRET}\n\twith a second line `
    await value.fill(typed)
    expect(await masking(value)).toBe('disc')
    await dialog.getByLabel('Show what I type').check()
    expect(await masking(value)).toBe('none')
    await store.click()
    await page.getByText('openai/prod is stored.').waitFor()
    await page.getByRole('rowheader', { name: 'openai/prod' }).waitFor()
    expect(
      await host
        .vault()
        .get('openai/prod')
        .then((secret) => secret?.text()),
    ).toBe(typed)
    expect(await page.content()).not.toContain(CANARY_SECRET)
    expect((await Promise.all(answers)).join()).not.toContain(CANARY_SECRET)
    await page.getByRole('button', { name: 'Store a secret' }).click()
    expect(await dialog.getByRole('textbox', { name: 'Value' }).inputValue()).toBe('')
    expect(watched.errors).toEqual([])
  })

  test('finds secrets by a piece of the name and by KEK, and deletes one when that is confirmed', async () => {
    await using host = await openHost({ keks: ['v1', 'v2'] })
    for (const name of ['openai/prod', 'openai/dev', 'Stripe/Prod']) await host.vault().put(name, 'value')
    await host.vault().keks.promote('v2')
    await host.vault().put('github/prod', 'value')
    await using watched = await openPage(browser, host)
    const { page } = watched
    await signIn(page, host.url)
    await go(page, 'Secrets')
    await page.getByText('4 secrets', { exact: true }).waitFor()
    await page.getByLabel('Search by name').fill('PROD')
    await page.getByText('3 of 4 secrets').waitFor()
    await page.getByLabel('KEK').selectOption('v1')
    await page.getByText('2 of 4 secrets').waitFor()
    await page.getByLabel('Search by name').fill('nothing of that')
    await page.getByText('No secret fits').waitFor()
    await page.getByLabel('Search by name').fill('')
    await page.getByRole('button', { name: 'Delete Stripe/Prod' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
    expect(await host.vault().get('Stripe/Prod')).not.toBeNull()
    await page.getByRole('button', { name: 'Delete Stripe/Prod' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
    await page.getByText('2 of 3 secrets').waitFor()
    expect(await host.vault().get('Stripe/Prod')).toBeNull()
    expect(watched.errors).toEqual([])
  })
})

/** How the browser masks what is in a field. */
function masking(field: Locator): Promise<string> {
  return field.evaluate((element) => {
    const { getComputedStyle } = globalThis as unknown as {
      getComputedStyle(of: unknown): { readonly webkitTextSecurity: string }
    }
    return getComputedStyle(element).webkitTextSecurity
  })
}

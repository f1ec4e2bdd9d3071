import { readFile } from 'node:fs/promises'
import { generateEscrowKeyPair, sealKek } from '@talos/envelope'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { go, openBrowser, openPage, signIn } from './browser.ts'
import { kekOf, manyNames, openHost, putMany, TOKENS } from './host.ts'

const SECRETS = 3_000

let browser: Browser
beforeAll(async () => {
  browser = await openBrowser()
})
afterAll(() => browser.close())

/** Notes every share that the progress bar shows from now on. */
const WATCH_PROGRESS = `
  globalThis.shares = new Set()
  new MutationObserver(() => {
    const bar = document.querySelector('[aria-label="Progress of the rotation"]')
    if (bar) shares.add(Number(bar.getAttribute('aria-valuenow')))
  }).observe(document.body, { subtree: true, childList: true, attributes: true })`

function card(page: Page, kekId: string) {
  return page.getByRole('article', { name: `KEK ${kekId}` })
}

describe('the runbook, by clicking', () => {
  test('leads from v1 to v2, and v1 can be retired only when the gate says so and its id is typed', async () => {
    await using host = await openHost({ keks: ['v1'] })
    await putMany(host.vault(), manyNames(SECRETS))
    await using watched = await openPage(browser, host)
    const { page } = watched
    await signIn(page, host.url)
    await card(page, 'v1').getByText('3,000 secrets').waitFor()
    await page.getByText('There is no former KEK to remove').waitFor()

    // v2 is generated and given to the service, which is restarted; the page follows by itself.
    await host.restart({ keks: ['v1', 'v2'] })
    await card(page, 'v2').getByText('Every live instance holds it').waitFor()

    await card(page, 'v2').getByRole('button', { name: 'Promote v2' }).click()
    const promotion = page.getByRole('dialog', { name: 'Make v2 current?' })
    await promotion.getByLabel('Reason').fill('yearly rotation')
    const promote = promotion.getByRole('button', { name: 'Promote' })
    expect(await promote.getAttribute('aria-disabled')).toBe('true')
    await promotion.getByLabel('Type v2 to confirm').fill('v2')
    await promote.click()
    await card(page, 'v2').getByText('Current', { exact: true }).first().waitFor()
    await page.getByRole('heading', { name: 'Can v1 be removed now?' }).waitFor()
    await page.getByText('Not yet', { exact: true }).waitFor()
    await page.getByRole('heading', { name: 'Secrets are still under it' }).waitFor()

    await go(page, 'Rotation')
    const start = page.getByRole('button', { name: 'Start the rotation' })
    expect(await start.getAttribute('aria-disabled')).toBe('true')
    await page.getByRole('button', { name: 'Dry run', exact: true }).click()
    await page.getByText('3,000 secrets would be re-wrapped.').waitFor()
    expect((await host.vault().status()).staleCounts).toEqual({ v1: SECRETS })

    await page.evaluate(WATCH_PROGRESS)
    await page.getByLabel('At most, secrets a second').fill('750')
    await start.click()
    await page.getByRole('heading', { name: 'Rotation to v2' }).waitFor()
    await page.getByRole('img', { name: /^Throughput from/ }).waitFor()
    await page
      .getByRole('region', { name: 'Rotation to v2' })
      .getByText('Completed', { exact: true })
      .waitFor()
    const shares = (await page.evaluate('[...shares]')) as readonly number[]
    expect(
      shares.some((share) => share > 0 && share < 100),
      `seen: ${shares.join(', ')}`,
    ).toBe(true)

    const status = await page.request.get(host.url.replace(/console$/, 'kek-status'), {
      headers: { Authorization: `Bearer ${TOKENS.root}` },
    })
    expect(await status.json()).toMatchObject({ current_kek_id: 'v2', stale_counts: { v1: 0 } })

    await go(page, 'Overview')
    await page.getByText('everything is under the target').waitFor()
    await page.getByRole('heading', { name: 'No escrow was recorded' }).waitFor()
    const { publicKey } = generateEscrowKeyPair()
    const sealed = await sealKek({ kekId: 'v1', kek: kekOf('v1'), for: { publicKey } })
    await host.vault().keks.recordEscrow(sealed)
    await page.getByRole('button', { name: 'Check again' }).click()
    await page.getByText('Yes, it can be retired').waitFor()

    await card(page, 'v1').getByRole('button', { name: 'Retire v1' }).click()
    const retirement = page.getByRole('dialog', { name: 'Retire v1 for good?' })
    await retirement.getByText('The gate says it is safe').waitFor()
    const retire = retirement.getByRole('button', { name: 'Retire for good' })
    const typed = retirement.getByLabel('Type v1 to confirm')
    await typed.fill('v2')
    expect(await retire.getAttribute('aria-disabled')).toBe('true')
    await typed.press('Enter')
    expect(await retirement.isVisible()).toBe(true)
    expect((await host.vault().status()).keks.find(({ id }) => id === 'v1')?.state).toBe('decrypt-only')
    await typed.fill('v1')
    await retire.click()
    await card(page, 'v1').getByText('Retired', { exact: true }).first().waitFor()
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('dialog', { name: 'v1 is retired' }).getByRole('button', { name: 'Download' }).click(),
    ])
    expect(file.suggestedFilename()).toMatch(/^retirement-certificate-v1-epoch-\d+\.json$/)
    expect(JSON.parse(await readFile(await file.path(), 'utf8'))).toMatchObject({
      verdict: 'SAFE',
      kekId: 'v1',
    })
    await page.getByRole('button', { name: 'Close' }).click()

    await host.restart({ keks: ['v2'] })
    await page.getByText('Ready', { exact: true }).waitFor()
    await go(page, 'Audit')
    await page.getByRole('heading', { name: 'Retirement of v1' }).waitFor()
    await page.getByRole('heading', { name: 'Promotion of v2' }).waitFor()
    await page.getByText('yearly rotation').waitFor()
    expect(await page.getByText('alice').count()).toBeGreaterThan(1)
    expect(watched.violations).toEqual([])
    expect(watched.errors).toEqual([])
  })

  test('a suspended KEK is resumed, and a promotion that waits for an instance names it', async () => {
    await using host = await openHost({ keks: ['v1', 'v2'] })
    await using watched = await openPage(browser, host)
    const { page } = watched
    await host.vault().keks.promote('v2')
    await signIn(page, host.url)
    await card(page, 'v1').getByRole('button', { name: 'Suspend v1' }).click()
    const suspension = page.getByRole('dialog', { name: 'Suspend v1?' })
    await suspension.getByLabel('Type v1 to confirm').fill('v1')
    await suspension.getByRole('button', { name: 'Suspend' }).click()
    await card(page, 'v1').getByRole('button', { name: 'Resume v1' }).click()
    await page.getByRole('dialog', { name: 'Resume v1?' }).getByRole('button', { name: 'Resume' }).click()
    await card(page, 'v1').getByRole('button', { name: 'Suspend v1' }).waitFor()

    await host.restart({ keks: ['v2', 'v1', 'v3'] })
    await host.join({ keks: ['v2', 'v1'], process: 'worker-1/88' })
    await card(page, 'v3').getByText('Give it to worker-1/88 before it is promoted.').waitFor()
    await card(page, 'v3').getByRole('button', { name: 'Promote v3' }).click()
    const promotion = page.getByRole('dialog', { name: 'Make v3 current?' })
    await promotion.getByLabel('Type v3 to confirm').fill('v3')
    await promotion.getByRole('button', { name: 'Promote' }).click()
    await promotion.getByRole('alert').getByText('worker-1/88').waitFor()
    await page.keyboard.press('Escape')
    await go(page, 'Instances')
    await page.getByText('v3 cannot be promoted yet.').waitFor()

    await go(page, 'Overview')
    await card(page, 'v3').getByRole('button', { name: 'Promote v3' }).click()
    await promotion.getByLabel('Go on without worker-1/88').check()
    await promotion.getByLabel('Type v3 to confirm').fill('v3')
    const promote = promotion.getByRole('button', { name: 'Promote' })
    expect(await promote.getAttribute('title')).toBe('Give the reason for leaving an instance out.')
    await promotion.getByLabel('Reason').fill('worker-1 hangs')
    await promote.click()
    await card(page, 'v3').getByText('Current', { exact: true }).first().waitFor()
    await go(page, 'Instances')
    await page.getByText('Has not followed', { exact: true }).waitFor()
    expect(watched.errors).toEqual([])
  })

  test('a KEK without an escrow is retired only with a reason for the loss of its backups', async () => {
    await using host = await openHost({ keks: ['v1', 'v2'] })
    await host.vault().keks.promote('v2')
    await using watched = await openPage(browser, host)
    const { page } = watched
    await signIn(page, host.url)
    await card(page, 'v1').getByRole('button', { name: 'Retire v1' }).click()
    const dialog = page.getByRole('dialog', { name: 'Retire v1 for good?' })
    const loss = dialog.getByLabel('Why the loss of its backups does no harm')
    await loss.waitFor()
    await dialog.getByLabel('Type v1 to confirm').fill('v1')
    const retire = dialog.getByRole('button', { name: 'Retire for good' })
    expect(await retire.getAttribute('title')).toBe('Give each reason that is asked for.')
    await loss.fill('there were never any backups')
    await retire.click()
    await card(page, 'v1').getByText('Retired', { exact: true }).first().waitFor()
    await page.getByRole('button', { name: 'Close' }).click()
    await go(page, 'Audit')
    await page.getByText('Loss of backups accepted: there were never any backups').waitFor()
    expect(watched.errors).toEqual([])
  })

  test('what was decided on an older state than the newest is not done', async () => {
    await using host = await openHost({ keks: ['v1', 'v2'] })
    await host.vault().keks.promote('v2')
    await using watched = await openPage(browser, host)
    const { page } = watched
    await signIn(page, host.url)
    await card(page, 'v1').getByRole('button', { name: 'Suspend v1' }).click()
    await page.getByLabel('Type v1 to confirm').fill('v1')
    // Nothing new reaches the page from here on, and somebody else changes the keyring document.
    host.before = ({ url }) => (/events|kek-status/.test(url ?? '') ? { status: 503, text: '{}' } : undefined)
    await host.vault().keks.markCompromised('v1', { reason: 'found in a log' })
    await page.getByRole('dialog').getByRole('button', { name: 'Suspend' }).click()
    await page.getByText('The keys were changed by somebody else meanwhile. Nothing was done.').waitFor()
    host.before = undefined
    await card(page, 'v1').getByText('Compromised').waitFor()
    expect((await host.vault().status()).keks.find(({ id }) => id === 'v1')?.state).toBe('decrypt-only')
    expect(watched.errors).toEqual([])
  })

  test('nor is what was decided on a state that has given way to a newer one behind the question', async () => {
    await using host = await openHost({ keks: ['v1', 'v2'] })
    await host.vault().keks.promote('v2')
    await using watched = await openPage(browser, host)
    const { page } = watched
    await signIn(page, host.url)
    await page.getByText('Live', { exact: true }).waitFor()
    await card(page, 'v1').getByRole('button', { name: 'Suspend v1' }).click()
    await page.getByLabel('Type v1 to confirm').fill('v1')
    await host.vault().keks.markCompromised('v1', { reason: 'found in a log' })
    await card(page, 'v1').getByText('Compromised').waitFor()
    await page.getByRole('dialog').getByRole('button', { name: 'Suspend' }).click()
    await page.getByText('The keys were changed by somebody else meanwhile. Nothing was done.').waitFor()
    expect((await host.vault().status()).keks.find(({ id }) => id === 'v1')?.state).toBe('decrypt-only')
    expect(watched.errors).toEqual([])
  })
})

import axe from 'axe-core'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { go, openBrowser, openPage, PAGES, signIn } from './browser.ts'
import { type ConsoleHost, damageWraps, manyNames, openHost, putMany, TOKENS } from './host.ts'

const LONG_NAME = `billing/${'a-very-long-name-without-a-place-to-break-'.repeat(6)}`

let browser: Browser
let host: ConsoleHost

beforeAll(async () => {
  browser = await openBrowser()
  host = await tellingHost()
})
afterAll(async () => {
  await browser.close()
  await host[Symbol.asyncDispose]()
})

/** A host with something on every page: a rotation under way, a quarantine, an instance that has not followed. */
async function tellingHost(): Promise<ConsoleHost> {
  const opened = await openHost({ keks: ['v1', 'v2'] })
  await putMany(opened.vault(), [LONG_NAME, ...manyNames(600)])
  await opened.vault().keks.promote('v2', { reason: 'yearly rotation', actor: 'alice' })
  damageWraps(opened, 'anthropic/dev/%')
  await opened.restart({ keks: ['v2', 'v1', 'v3'] })
  await opened.join({ keks: ['v2', 'v1'], process: 'worker-1/88' })
  await opened.vault().rotate({ ratePerSecond: 5, reason: 'after the promotion', actor: 'alice' })
  return opened
}

interface AxeFinding {
  readonly id: string
  readonly impact: string
  readonly nodes: readonly { readonly html: string }[]
}

/** What the checker finds serious or critical on the page as it is. */
async function findings(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe.source)
  const { violations } = (await page.evaluate(`axe.run(document, { resultTypes: ['violations'] })`)) as {
    readonly violations: readonly AxeFinding[]
  }
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)
}

describe('everybody can use the console', () => {
  test.each(['light', 'dark'] as const)(
    'no page has a serious fault in the %s theme',
    async (colorScheme) => {
      await using watched = await openPage(browser, host, { colorScheme, bypassCSP: true })
      const { page } = watched
      await page.goto(host.url)
      await page.getByRole('heading', { name: 'Sign in' }).waitFor()
      expect(await findings(page)).toEqual([])
      await signIn(page, host.url)
      for (const name of PAGES) {
        await go(page, name)
        for (const summary of await page.locator('summary').all()) await summary.click()
        expect(await findings(page), name).toEqual([])
      }
      await go(page, 'Secrets')
      await page.getByRole('button', { name: 'Store a secret' }).click()
      await page.getByRole('dialog').waitFor()
      expect(await findings(page), 'dialog').toEqual([])
    },
  )

  test('a keyboard is enough: what has the focus is seen, dialogs keep it and give it back', async () => {
    await using watched = await openPage(browser, host)
    const { page } = watched
    await page.goto(host.url)
    await page.getByLabel('Token').waitFor()
    // The field has the focus from the start.
    await page.keyboard.type(TOKENS.root)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Life of the KEKs' }).waitFor()
    expect(await focused(page)).toBe('Overview')
    await reach(page, 'Secrets')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { level: 1, name: 'Secrets' }).waitFor()
    expect(await focused(page)).toBe('Secrets')
    await reach(page, 'Store a secret')
    await page.keyboard.press('Enter')
    await page.getByRole('dialog', { name: 'Store a secret' }).waitFor()
    await page.keyboard.type('from/the/keyboard')
    for (let presses = 0; presses < 12; presses += 1) {
      await page.keyboard.press('Tab')
      const isInside = `!document.activeElement || document.activeElement === document.body
        || document.querySelector('dialog').contains(document.activeElement)`
      expect(await page.evaluate(isInside)).toBe(true)
    }
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    expect(await focused(page)).toBe('Store a secret')
  })

  test.each([360, 1440])('nothing scrolls sideways at a width of %i pixels', async (width) => {
    await using watched = await openPage(browser, host, { viewport: { width, height: 800 } })
    const { page } = watched
    await page.goto(host.url)
    await page.getByLabel('Token').waitFor()
    expect(await overflow(page), 'sign in').toBe(0)
    await signIn(page, host.url)
    for (const name of PAGES) {
      await go(page, name)
      for (const summary of await page.locator('summary').all()) await summary.click()
      expect(await overflow(page), name).toBe(0)
    }
    await go(page, 'Secrets')
    await page.getByLabel('Search by name').fill('a-very-long-name')
    await page.getByRole('button', { name: `Delete ${LONG_NAME}` }).click()
    await page.getByRole('dialog').waitFor()
    expect(await overflow(page), 'dialog').toBe(0)
    expect(watched.errors).toEqual([])
  })
})

/** By how many pixels the page is wider than its window. */
function overflow(page: Page): Promise<unknown> {
  return page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
}

function focused(page: Page): Promise<unknown> {
  return page.evaluate('document.activeElement.textContent.trim()')
}

/** Presses Tab until something has the focus, and sees on the way that the focus is always seen. */
async function reach(page: Page, text: string): Promise<void> {
  const ring = `(() => {
    const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement)
    return document.activeElement === document.body || (outlineStyle !== 'none' && outlineWidth !== '0px')
  })()`
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press('Tab')
    expect(await page.evaluate(ring), `focus on ${await focused(page)}`).toBe(true)
    if ((await focused(page)) === text) return
  }
  throw new Error(`60 presses of Tab do not lead to ${text}`)
}

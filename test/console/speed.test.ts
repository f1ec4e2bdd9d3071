import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildConsole, MOST_GZIPPED_BYTES } from '../../packages/console/build.mjs'
import { go, openBrowser, openPage, signIn } from './browser.ts'
import { manyNames, openHost, putMany } from './host.ts'

const SECRETS = 10_000
/** The first look is the one that nothing is cached for; the best of some is the one that nothing else got in the way of. */
const LOOKS = 3
const LEAST_FRAMES = 3

let browser: Browser
beforeAll(async () => {
  browser = await openBrowser()
})
afterAll(() => browser.close())

const WATCH_FRAMES = `
  globalThis.frames_ = []
  let last = performance.now()
  const next = (now) => { frames_.push(now - last); last = now; globalThis.watching = requestAnimationFrame(next) }
  requestAnimationFrame(next)`
const STOP = '(() => { cancelAnimationFrame(watching); return frames_.slice(1) })()'

describe('the console is quick', () => {
  test('is built into less than its limit, and again without touching what is there', async () => {
    const { bytes, gzippedBytes, assets } = await buildConsole()
    const kibibytes = (count: number) => `${(count / 1024).toFixed(1)} KiB`
    console.log(
      `console: ${kibibytes(bytes)} in ${assets.length + 1} files, ${kibibytes(gzippedBytes)} compressed ` +
        `(at most ${kibibytes(MOST_GZIPPED_BYTES)})`,
    )
    expect(gzippedBytes).toBeLessThan(MOST_GZIPPED_BYTES)
    expect(await buildConsole()).toEqual({ bytes, gzippedBytes, assets })
  })

  test('takes a token within a second of being opened', async () => {
    await using host = await openHost({ keks: ['v1'] })
    const times: number[] = []
    for (let look = 0; look < LOOKS; look += 1) {
      await using watched = await openPage(browser, host)
      const { page } = watched
      await page.addInitScript(`
        globalThis.usable = new Promise((resolve) => {
          document.addEventListener('focusin', () => resolve(performance.now()), { once: true })
        })`)
      await page.goto(host.url)
      times.push((await page.evaluate('usable')) as number)
    }
    console.log(`console: interactive after ${times.map((time) => time.toFixed(0)).join(', ')} ms`)
    expect(Math.min(...times)).toBeLessThan(1_000)
  })

  test('lists and searches 10,000 secrets without a pause that is felt', async () => {
    await using host = await openHost({ keks: ['v1'] })
    await putMany(host.vault(), manyNames(SECRETS))
    await using watched = await openPage(browser, host)
    const { page } = watched
    await signIn(page, host.url)
    await go(page, 'Secrets')
    await page.getByText('10,000 secrets', { exact: true }).waitFor()
    const rows = await page.locator('.long-list tbody tr').count()
    expect(rows).toBeLessThan(100)

    const search = page.getByLabel('Search by name')
    const list = page.getByRole('region', { name: 'List of secrets' })
    await search.focus()
    const typing = await framesOf(page, async () => {
      await page.keyboard.type('stripe/prod/team-0123')
      await page.getByText('1 of 10,000 secrets').waitFor()
      for (let presses = 0; presses < 21; presses += 1) await page.keyboard.press('Backspace')
      await page.getByText('10,000 secrets', { exact: true }).waitFor()
    })
    const scrolling = await framesOf(page, async () => {
      await list.press('End')
      await page.getByRole('rowheader', { name: 'twilio/staging/team-0416' }).waitFor()
    })
    expect(await page.locator('.long-list tbody tr').count()).toBeLessThan(100)

    console.log(
      `console: ${SECRETS} secrets, frames while typing ${told(typing)}, while scrolling ${told(scrolling)}`,
    )
    expect(share(typing, 0.95)).toBeLessThan(100)
    expect(share(scrolling, 0.5)).toBeLessThan(100)
    expect(watched.errors).toEqual([])
  })
})

/** How long each frame took while something was done: at least two of them. */
async function framesOf(page: Page, act: () => Promise<void>): Promise<number[]> {
  await page.evaluate(WATCH_FRAMES)
  await act()
  await page.waitForFunction(`frames_.length > ${LEAST_FRAMES}`)
  return (await page.evaluate(STOP)) as number[]
}

function share(times: readonly number[], part: number): number {
  return [...times].sort((a, b) => a - b)[Math.floor((times.length - 1) * part)] ?? Number.POSITIVE_INFINITY
}

function told(times: readonly number[]): string {
  const [half, most, longest] = [0.5, 0.95, 1].map((part) => share(times, part).toFixed(0))
  return `median ${half} ms, 95 % within ${most} ms, longest ${longest} ms`
}

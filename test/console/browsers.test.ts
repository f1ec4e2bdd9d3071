import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { go, openBrowser, openPage, PAGES, signIn } from './browser.ts'
import { openHost } from './host.ts'

/** What one of Chrome 109, Firefox 115 and Safari 16, which the console is built for, does not have: no bundler adds it. */
const YOUNGER = `
  const younger = [
    [Map, 'groupBy'], [Object, 'groupBy'], [Array, 'fromAsync'], [Promise, 'withResolvers'], [Promise, 'try'],
    [URL, 'parse'], [URL, 'canParse'], [AbortSignal, 'any'], [RegExp, 'escape'], [Intl, 'DurationFormat'],
    ...['toSorted', 'toReversed', 'toSpliced', 'with'].map((name) => [Array.prototype, name]),
    ...['isWellFormed', 'toWellFormed'].map((name) => [String.prototype, name]),
    ...['union', 'intersection', 'difference', 'symmetricDifference', 'isSubsetOf', 'isSupersetOf', 'isDisjointFrom'].map(
      (name) => [Set.prototype, name]),
    ...['map', 'filter', 'take', 'drop', 'flatMap', 'reduce', 'toArray', 'forEach', 'some', 'every', 'find'].map(
      (name) => [Object.getPrototypeOf(Object.getPrototypeOf([].values())), name]),
    [HTMLElement.prototype, 'showPopover'], [Document.prototype, 'startViewTransition'],
  ]
  for (const [holder, name] of younger) delete holder[name]`

let browser: Browser
beforeAll(async () => {
  browser = await openBrowser()
})
afterAll(() => browser.close())

test('every page works without what the oldest browsers that the console is built for do not have', async () => {
  await using host = await openHost({ keks: ['v1', 'v2'] })
  await host.vault().put('openai/prod', 'value')
  await host.vault().keks.promote('v2', { reason: 'yearly rotation', actor: 'alice' })
  await using watched = await openPage(browser, host)
  const { page, errors } = watched
  await page.addInitScript(YOUNGER)
  await signIn(page, host.url)
  expect(await page.evaluate('[typeof Map.groupBy, typeof [].toSorted, typeof [].values().map]')).toEqual([
    'undefined',
    'undefined',
    'undefined',
  ])
  for (const name of PAGES) await go(page, name)
  await page.getByText('yearly rotation').waitFor()
  expect(errors).toEqual([])
})

import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { go, openBrowser, openPage, signIn } from './browser.ts'
import { damageWraps, manyNames, openHost, putMany } from './host.ts'

let browser: Browser
beforeAll(async () => {
  browser = await openBrowser()
})
afterAll(() => browser.close())

describe('the page of rotations', () => {
  test('pauses, resumes and cancels a rotation, and starts none without a dry run', async () => {
    await using host = await openHost({ keks: ['v1', 'v2'] })
    await putMany(host.vault(), manyNames(1_500))
    await host.vault().keks.promote('v2')
    const { id } = await host.vault().rotate({ ratePerSecond: 1, reason: 'by hand' })
    await using watched = await openPage(browser, host)
    const { page } = watched
    await signIn(page, host.url)
    await go(page, 'Rotation')
    const card = page.getByRole('region', { name: 'Rotation to v2' })
    expect(await page.getByRole('button', { name: 'Dry run', exact: true }).count()).toBe(0)
    await card.getByRole('button', { name: 'Pause' }).click()
    await card.getByText('Paused by an operator.').waitFor()
    expect((await host.vault().rotations.get(id))?.status).toBe('paused')
    await card.getByRole('button', { name: 'Resume' }).click()
    await card.getByText('Running', { exact: true }).waitFor()
    await card.getByRole('button', { name: 'Cancel' }).click()
    const dialog = page.getByRole('dialog', { name: 'Cancel the rotation?' })
    await dialog.getByLabel('Type v2 to confirm').fill('v2')
    await dialog.getByRole('button', { name: 'Cancel the rotation' }).click()
    await card.getByText('Cancelled', { exact: true }).waitFor()
    const start = page.getByRole('button', { name: /^Start the rotation/ })
    expect(await start.getAttribute('title')).toBe('Do a dry run towards this KEK first.')
    await go(page, 'Audit')
    for (const title of ['Rotation to v2 paused', 'Rotation to v2 resumed', 'Rotation to v2 cancelled']) {
      await page.getByRole('heading', { name: title }).waitFor()
    }
    expect(watched.errors).toEqual([])
  })

  test('takes the numbers that the service takes, and no other', async () => {
    await using host = await openHost({ keks: ['v1', 'v2'] })
    await host.vault().put('openai/prod', 'value')
    await host.vault().keks.promote('v2')
    await using watched = await openPage(browser, host)
    const { page } = watched
    await signIn(page, host.url)
    await go(page, 'Rotation')
    const workers = page.getByLabel('Workers at once')
    const dryRun = page.getByRole('button', { name: /^Dry run/ })
    for (const wrong of ['9', '0', '1.5', 'x']) {
      await workers.fill(wrong)
      await page.getByText('A whole number from 1 to 8.').waitFor()
      expect([wrong, await dryRun.getAttribute('title')]).toEqual([wrong, 'Correct the numbers first.'])
    }
    await workers.fill('8')
    await dryRun.click()
    await page.getByText('The dry run has begun.').waitFor()
    expect((await host.vault().rotations.list())[0]?.concurrency).toBe(8)
    expect(watched.errors).toEqual([])
  })

  test('lists what is in quarantine with the check that failed and what to do, and tries it again', async () => {
    await using host = await openHost({ keks: ['v1', 'v2'] })
    await putMany(host.vault(), manyNames(60))
    await host.vault().keks.promote('v2')
    damageWraps(host, 'stripe/%')
    await using watched = await openPage(browser, host)
    const { page } = watched
    await signIn(page, host.url)
    await go(page, 'Rotation')
    await page.getByRole('button', { name: 'Dry run', exact: true }).click()
    await page.getByText('52 secrets would be re-wrapped.').waitFor()
    await page.getByRole('button', { name: 'Start the rotation' }).click()
    const quarantine = page.getByRole('region', { name: 'Quarantine', exact: true })
    await quarantine.getByRole('rowheader', { name: 'stripe/prod/team-0000' }).waitFor()
    await quarantine.getByText('wrap_corrupt').first().waitFor()
    await quarantine.getByText('Restore the record from a backup').first().waitFor()
    await page
      .getByRole('region', { name: 'Rotation to v2' })
      .getByText('Ended with failures', { exact: true })
      .waitFor()
    // Each is mended in the way that is advised: by deleting it.
    for (const { name } of await listed(host.vault().list({ prefix: 'stripe/' })))
      await host.vault().delete(name)
    await quarantine.getByRole('button', { name: 'Try these again' }).click()
    await page
      .getByRole('region', { name: 'Rotation to v2' })
      .getByText('Completed', { exact: true })
      .waitFor()
    expect(watched.errors).toEqual([])
  })

  test('follows a rotation by the stream of events alone', async () => {
    await using host = await openHost({ keks: ['v1', 'v2'] })
    await putMany(host.vault(), manyNames(20))
    await using watched = await openPage(browser, host)
    const { page } = watched
    await signIn(page, host.url)
    await page.getByText('Live', { exact: true }).waitFor()
    await go(page, 'Rotation')
    host.before = ({ url }) => (url?.endsWith('/events') ? undefined : { status: 503, text: '{}' })
    await host.vault().keks.promote('v2')
    await host.vault().rotate()
    await page
      .getByRole('region', { name: 'Rotation to v2' })
      .getByText('Completed', { exact: true })
      .waitFor()
    expect(watched.errors).toEqual([])
  })

  test('goes on without the stream of events by asking, and says so', async () => {
    await using host = await openHost({ keks: ['v1', 'v2'] })
    await putMany(host.vault(), manyNames(20))
    host.before = ({ url }) => (url?.endsWith('/events') ? { status: 503, text: '{}' } : undefined)
    await using watched = await openPage(browser, host)
    const { page } = watched
    await signIn(page, host.url)
    await page.getByText('Asking every few seconds').waitFor()
    await go(page, 'Rotation')
    await host.vault().keks.promote('v2')
    await host.vault().rotate()
    await page
      .getByRole('region', { name: 'Rotation to v2' })
      .getByText('Completed', { exact: true })
      .waitFor()

    host.before = () => ({ status: 502, text: 'The proxy has nobody behind it.' })
    await page.getByRole('alert').getByText('The server answered 502.').first().waitFor()
    host.before = undefined
    await page.getByRole('alert').first().waitFor({ state: 'detached' })
    expect(watched.errors).toEqual([])
  })
})

async function listed<T>(entries: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = []
  for await (const entry of entries) all.push(entry)
  return all
}

/**
 * Takes the pictures of the console that the guide shows, of a service in the middle of a rotation.
 *
 *     node --conditions=@talos/source scripts/console-pictures.mjs
 */
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { env } from 'node:process'
import { fileURLToPath } from 'node:url'
import { go, openBrowser, openPage, PAGES, signIn } from '../test/console/browser.ts'
import { damageWraps, manyNames, openHost, putMany } from '../test/console/host.ts'

const FOLDER = fileURLToPath(new URL('../docs/pictures/', import.meta.url))
const THEMES = ['light', 'dark']
const SECRETS = 2_400
const MOST_BYTES = 150_000
/** Of secrets a second: the pictures show a rotation that is not over while they are taken. */
const RATE = 45
/** How far it is by then. */
const WATCHED_SHARE = 0.4

/** What is below the edge of the window. */
const SECTIONS = { Overview: [['keks', 'Life of the KEKs']], Rotation: [['quarantine', 'Quarantine']] }
const SCROLL_THERE = (element) => element.ownerDocument.defaultView.scrollTo(0, element.offsetTop - 24)

/** Machines without a desktop have one wide font at best; its narrow cut is closer to what operators see. */
function preferNarrowFont() {
  const folder = mkdtempSync(join(tmpdir(), 'console-fonts-'))
  const alias = (family) =>
    `<match><test name="family"><string>${family}</string></test>` +
    '<edit name="family" mode="prepend" binding="strong"><string>DejaVu Sans Condensed</string></edit></match>'
  const families = ['system-ui', 'ui-sans-serif', 'sans-serif', 'DejaVu Sans'].map(alias).join('')
  const file = join(folder, 'fonts.conf')
  writeFileSync(file, `<fontconfig><include>/etc/fonts/fonts.conf</include>${families}</fontconfig>`)
  env.FONTCONFIG_FILE = file
  return () => rmSync(folder, { recursive: true, force: true })
}

/** Two KEKs, three instances of which one was left out of the promotion, and secrets that cannot be re-wrapped. */
async function tellingHost() {
  const host = await openHost({ keks: ['v1', 'v2'], process: 'web-1/4711' })
  await putMany(host.vault(), manyNames(SECRETS))
  await host.join({ keks: ['v1', 'v2'], process: 'web-2/4712' })
  const worker = await host.join({ keks: ['v1'], process: 'worker-1/88' })
  await host.vault().keks.promote('v2', {
    reason: 'Yearly rotation; worker-1 hangs and is being replaced',
    actor: 'alice',
    skipInstances: [worker.instanceId],
  })
  // Early in the order of names, so that the rotation has met them.
  damageWraps(host, 'anthropic/%/team-0001')
  const dryRun = await host
    .vault()
    .rotate({ dryRun: true, reason: 'Before the yearly rotation', actor: 'alice' })
  await until(host, dryRun.id, ({ status }) => status !== 'running')
  return host
}

async function until(host, id, isThere) {
  for await (const operation of host.vault().rotations.follow(id, { everyMs: 100 })) {
    if (isThere(operation)) return
  }
}

/** Takes what the window shows, from the top of the page or of one section. */
async function take(page, name, theme, section) {
  const path = join(FOLDER, `console-${name}-${theme}.png`)
  if (section === undefined) await page.evaluate('scrollTo(0, 0)')
  else await page.getByRole('region', { name: section, exact: true }).evaluate(SCROLL_THERE)
  await page.screenshot({ path, animations: 'disabled', caret: 'hide' })
  const { size } = statSync(path)
  if (size > MOST_BYTES) throw new Error(`${path} has ${size} bytes, more than ${MOST_BYTES}`)
  process.stdout.write(`${path.slice(FOLDER.length)}: ${Math.round(size / 1024)} KiB\n`)
}

mkdirSync(FOLDER, { recursive: true })
const restoreFonts = preferNarrowFont()
const host = await tellingHost()
const browser = await openBrowser()
try {
  const { id } = await host.vault().rotate({ ratePerSecond: RATE, reason: 'Yearly rotation', actor: 'alice' })
  const watched = await Promise.all(
    THEMES.map(async (colorScheme) => {
      const { page } = await openPage(browser, host, { colorScheme, reducedMotion: 'reduce' })
      await page.goto(host.url)
      await page.getByRole('heading', { name: 'Sign in' }).waitFor()
      await take(page, 'sign-in', colorScheme)
      await signIn(page, host.url)
      await go(page, 'Rotation')
      return { page, colorScheme }
    }),
  )
  await until(host, id, ({ totals, expected }) => totals.scanned >= WATCHED_SHARE * expected)
  for (const { page, colorScheme } of watched) {
    for (const name of PAGES) {
      await go(page, name)
      await take(page, name.toLowerCase(), colorScheme)
      for (const [picture, section] of SECTIONS[name] ?? []) await take(page, picture, colorScheme, section)
    }
  }
} finally {
  await browser.close()
  await host[Symbol.asyncDispose]()
  restoreFonts()
}

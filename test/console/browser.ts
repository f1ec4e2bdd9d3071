import { existsSync } from 'node:fs'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { type ConsoleHost, TOKENS } from './host.ts'

const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** @throws Error when there is no Chromium, with the command that installs it. */
export async function openBrowser(): Promise<Browser> {
  const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium'
  if (!existsSync(executablePath)) {
    throw new Error(
      `there is no ${executablePath}: apt-get install chromium, or name another one in CHROMIUM`,
    )
  }
  return await chromium.launch({ executablePath, args: ARGUMENTS })
}

/** A page, with everything about it that must not be. */
export interface WatchedPage extends AsyncDisposable {
  readonly page: Page
  /** What the page's own policy refused. */
  readonly violations: string[]
  /** Requests to any other origin. */
  readonly foreign: string[]
  /** Errors that nobody caught, and what the browser complains about. */
  readonly errors: string[]
}

const REPORT_VIOLATIONS = `
  document.addEventListener('securitypolicyviolation', (event) => {
    reportViolation(event.effectiveDirective + ' ' + event.blockedURI + ' ' + event.sample)
  })`

/** Opens a page in a browser profile of its own. */
export async function openPage(
  browser: Browser,
  host: Pick<ConsoleHost, 'origin'>,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
  // Shorter than a test's own limit, so that a wait in vain says what it waited for.
  context.setDefaultTimeout(15_000)
  const page = await context.newPage()
  const violations: string[] = []
  const foreign: string[] = []
  const errors: string[] = []
  await page.exposeFunction('reportViolation', (said: string) => void violations.push(said))
  await page.addInitScript(REPORT_VIOLATIONS)
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== host.origin) foreign.push(request.url())
  })
  page.on('pageerror', (error) => errors.push(error.message))
  page.on('console', (message) => {
    // That an answer was no success is the server's business, and a test's that wants it so.
    const isNetwork = message.text().startsWith('Failed to load resource')
    if (message.type() === 'error' && !isNetwork) errors.push(message.text())
  })
  return { page, violations, foreign, errors, [Symbol.asyncDispose]: () => context.close() }
}

/** Opens the console and signs in as somebody would. */
export async function signIn(page: Page, url: string, token: string = TOKENS.root): Promise<void> {
  await page.goto(url)
  await page.getByLabel('Token').fill(token)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor()
}

export type PageName = 'Overview' | 'Rotation' | 'Instances' | 'Secrets' | 'Audit'

export const PAGES: readonly PageName[] = ['Overview', 'Rotation', 'Instances', 'Secrets', 'Audit']

/** Goes to a page by its link, and waits until it shows something else than that it is loading. */
export async function go(page: Page, name: PageName): Promise<void> {
  await page.getByRole('navigation').getByRole('link', { name }).click()
  await page.getByRole('heading', { level: 1, name }).waitFor()
  await page.locator('.skeleton').first().waitFor({ state: 'detached' })
}

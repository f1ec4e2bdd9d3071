import { bearerAuth } from '@talos/envelope-express'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { close, HOSTS, listen } from '../../packages/express/test/support/hosts.ts'
import { go, openBrowser, openPage, PAGES, signIn, type WatchedPage } from './browser.ts'
import { damageWraps, openHost, TOKENS } from './host.ts'

/** Names and texts that are code wherever they are taken for markup. Each calls `caught` where it runs. */
const HOSTILE = [
  '<img src=x onerror=caught()>',
  '"><script>caught()</script>',
  'javascript:caught()//\'"',
  '<svg/onload=caught()>',
  '{{constructor.constructor("caught()")()}}',
  '<iframe srcdoc="<script>parent.caught()</script>">',
] as const

let browser: Browser
beforeAll(async () => {
  browser = await openBrowser()
})
afterAll(() => browser.close())

/** What the browser keeps of a page, after it. */
const KEPT = `(async () => ({
  local: Object.entries(localStorage),
  session: Object.entries(sessionStorage),
  cookie: document.cookie,
  databases: (await indexedDB.databases()).length,
  caches: globalThis.caches ? (await caches.keys()).length : 0,
  workers: navigator.serviceWorker ? (await navigator.serviceWorker.getRegistrations()).length : 0,
  address: location.href,
  name: window.name,
  state: history.state,
}))()`

async function expectClean(watched: WatchedPage): Promise<void> {
  expect(watched.violations).toEqual([])
  expect(watched.foreign).toEqual([])
  expect(watched.errors).toEqual([])
}

describe('the console shows what it is given as text', () => {
  test('names of secrets, processes and reasons that are markup are shown and never run', async () => {
    await using host = await openHost({ keks: ['v1', 'v2'], process: HOSTILE[0] })
    for (const name of HOSTILE) await host.vault().put(name, 'value')
    await host.vault().keks.promote('v2', { reason: HOSTILE[1], actor: HOSTILE[3] })
    damageWraps(host)
    await using watched = await openPage(browser, host)
    const { page } = watched
    const caught: string[] = []
    await page.exposeFunction('caught', () => void caught.push(page.url()))
    await signIn(page, host.url)
    for (const name of PAGES) await go(page, name)
    await page.getByText(HOSTILE[1]).waitFor()
    await go(page, 'Secrets')
    for (const name of HOSTILE) await page.getByRole('rowheader', { name, exact: true }).waitFor()
    await page.getByRole('button', { name: `Delete ${HOSTILE[0]}`, exact: true }).click()
    await page.getByRole('dialog').getByText(HOSTILE[0]).waitFor()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click()
    await page.getByText(`${HOSTILE[0]} is deleted.`).waitFor()
    await go(page, 'Rotation')
    await page.getByRole('button', { name: 'Dry run', exact: true }).click()
    await page.getByRole('rowheader', { name: HOSTILE[1], exact: true }).waitFor()
    await go(page, 'Instances')
    await page.getByText(HOSTILE[0]).first().waitFor()
    expect(caught).toEqual([])
    await expectClean(watched)
  })

  test('an answer that is no answer of the API is shown as text, and retried', async () => {
    await using host = await openHost({ keks: ['v1'] })
    await using watched = await openPage(browser, host)
    const { page } = watched
    const caught: string[] = []
    await page.exposeFunction('caught', () => void caught.push(page.url()))
    await signIn(page, host.url)
    const hostile = { code: HOSTILE[0], detail: HOSTILE[1], reasons: [HOSTILE[3]], required_role: HOSTILE[2] }
    host.before = ({ url }) =>
      url?.includes('/instances') ? { status: 403, text: JSON.stringify(hostile) } : undefined
    await page.getByRole('navigation').getByRole('link', { name: 'Instances' }).click()
    await page.getByText(HOSTILE[1]).waitFor()
    await page.getByText(HOSTILE[3]).waitFor()
    host.before = ({ url }) => (url?.includes('/instances') ? { status: 200, text: HOSTILE[0] } : undefined)
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByText('The answer is not the admin API’s.').waitFor()
    host.before = undefined
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByText('web-1/4711').first().waitFor()
    expect(caught).toEqual([])
    await expectClean(watched)
  })
})

describe('the console keeps the token in memory', () => {
  test('nothing is stored, nothing is in the address, no other origin is asked, and a reload forgets it', async () => {
    await using host = await openHost({ keks: ['v1'] })
    await using watched = await openPage(browser, host)
    const { page } = watched
    const addressed: string[] = []
    page.on('request', (request) => {
      const { authorization = '', ...headers } = request.headers()
      if (JSON.stringify([request.url(), headers]).includes(TOKENS.root)) addressed.push(request.url())
      if (authorization !== '' && authorization !== `Bearer ${TOKENS.root}`) addressed.push(request.url())
    })
    await signIn(page, host.url)
    for (const name of PAGES) await go(page, name)
    await page.getByRole('button', { name: 'Dark theme' }).click()
    expect(await page.evaluate(KEPT)).toEqual({
      local: [],
      session: [],
      cookie: '',
      databases: 0,
      caches: 0,
      workers: 0,
      address: `${host.url}#/audit`,
      name: '',
      state: null,
    })
    expect(await page.context().cookies()).toEqual([])
    expect(await page.content()).not.toContain(TOKENS.root)
    expect(addressed).toEqual([])
    await expectClean(watched)

    await page.reload()
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    expect(await page.getByLabel('Token').inputValue()).toBe('')
  })

  test('signing out forgets it, and ends what was being asked', async () => {
    await using host = await openHost({ keks: ['v1'] })
    await using watched = await openPage(browser, host)
    const { page } = watched
    await signIn(page, host.url)
    await page.getByText('Live', { exact: true }).waitFor()
    await page.getByRole('button', { name: 'Sign out alice' }).click()
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    const asked: string[] = []
    page.on('request', (request) => asked.push(request.url()))
    // The page is alive and asks nothing: a wrong token is its next question.
    await page.getByLabel('Token').fill('Zq7vK3n0uY1dB9wXm5Gs2LTcRjHfPa8e-wrong')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByText('This token is not accepted.').waitFor()
    expect(asked.map((url) => new URL(url).pathname)).toEqual(['/admin/v1/secrets/session'])
    await expectClean(watched)
  })

  test('a token that is not accepted any more leads back to signing in, with the reason', async () => {
    await using host = await openHost({ keks: ['v1'] })
    await using watched = await openPage(browser, host)
    const { page } = watched
    await signIn(page, host.url)
    host.before = ({ url }) =>
      url?.includes('/audit') ? { status: 401, text: '{"code":"UNAUTHORIZED"}' } : undefined
    await page.getByRole('navigation').getByRole('link', { name: 'Audit' }).click()
    await page.getByRole('alert').getByText('Your token is not accepted any more. Sign in again.').waitFor()
    await expectClean(watched)
  })
})

describe('the console offers what the caller may do', () => {
  test('a reader sees everything that a reader may see, and is told why the rest does nothing', async () => {
    await using host = await openHost({ keks: ['v1', 'v2'] })
    await host.vault().put('openai/prod', 'value')
    await host.vault().keks.promote('v2')
    await using watched = await openPage(browser, host)
    const { page } = watched
    await signIn(page, host.url, TOKENS.reader)
    await page.getByText('1 secret under it.').waitFor()
    await expectRefused(page, 'Retire v1', 'retire')
    await expectRefused(page, 'Suspend v1', 'admin')
    await go(page, 'Rotation')
    await expectRefused(page, 'Dry run', 'rotate')
    await go(page, 'Secrets')
    await expectRefused(page, 'Store a secret', 'write')
    await expectRefused(page, 'Delete openai/prod', 'write')
    await page.getByRole('button', { name: /^Delete openai/ }).click({ force: true })
    expect(await page.getByRole('dialog').count()).toBe(0)
    await expectClean(watched)
  })
})

async function expectRefused(page: Page, name: string, role: string): Promise<void> {
  const button = page.getByRole('button', { name: new RegExp(`^${name}`) })
  await button.waitFor()
  expect(await button.getAttribute('aria-disabled')).toBe('true')
  expect(await button.getAttribute('title')).toContain(`“${role}”`)
}

describe('the policy of the page', () => {
  test('refuses inline styles and scripts, code from text, markup from text and other origins, and each is counted', async () => {
    await using host = await openHost({ keks: ['v1'] })
    await using watched = await openPage(browser, host)
    const { page, violations } = watched
    await page.goto(host.url)
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    expect(violations).toEqual([])
    const attempts = [
      ["document.body.setAttribute('style', 'color: red')", 'style-src-attr'],
      [
        "document.head.append(Object.assign(document.createElement('style'), { textContent: '*{}' }))",
        'style-src-elem',
      ],
      ["document.body.setAttribute('onclick', 'caught()')", 'require-trusted-types-for'],
      ["import('https://elsewhere.example/x.js').catch(() => 0)", 'script-src-elem'],
      ["document.body.innerHTML = '<b>markup</b>'", 'require-trusted-types-for'],
      ["document.createElement('script').text = 'caught()'", 'require-trusted-types-for'],
      ["trustedTypes.createPolicy('default', { createHTML: (text) => text })", 'trusted-types'],
      ["fetch('https://elsewhere.example/').catch(() => 0)", 'connect-src'],
      [
        "document.body.append(Object.assign(new Image(), { src: 'https://elsewhere.example/x.png' }))",
        'img-src',
      ],
    ] as const
    for (const [attempt, directive] of attempts) {
      const before = violations.length
      await page.evaluate(`try { ${attempt} } catch {}`)
      await expect.poll(() => violations.slice(before).join()).toContain(directive)
    }
  })
})

describe('the console is shown by itself', () => {
  test('a page that has opened it holds nothing of it', async () => {
    await using host = await openHost({ keks: ['v1'] })
    const opening = '<!doctype html><title>Elsewhere</title>'
    host.before = ({ url }) => (url === '/elsewhere' ? { status: 200, text: opening } : undefined)
    await using watched = await openPage(browser, host)
    const { page } = watched
    await page.goto(`${host.origin}/elsewhere`)
    const opened = page.context().waitForEvent('page')
    await page.evaluate(`globalThis.opened = window.open(${JSON.stringify(host.url)})`)
    const console = await opened
    await console.getByRole('heading', { name: 'Sign in' }).waitFor()
    expect(await console.evaluate('window.opener')).toBeNull()
    await expect.poll(() => page.evaluate('opened.closed')).toBe(true)
  })

  test('no other page can put it into a frame, of this origin or another', async () => {
    await using host = await openHost({ keks: ['v1'] })
    const framing = `<!doctype html><title>Elsewhere</title><iframe src="${host.url}"></iframe>`
    host.before = ({ url }) => (url === '/elsewhere' ? { status: 200, text: framing } : undefined)
    const other = await listen(
      (_request, response) => void response.setHeader('Content-Type', 'text/html').end(framing),
    )
    try {
      for (const origin of [host.origin, other.origin]) {
        await using watched = await openPage(browser, host)
        const { page } = watched
        await page.goto(`${origin}/elsewhere`)
        const frame = page.frames()[1]
        await expect.poll(() => frame?.url()).toBe('chrome-error://chromewebdata/')
      }
    } finally {
      await close(other.server)
    }
  })
})

/** One of each kind; that all of them answer alike is what the API's own tests hold to. */
const MOUNTS = [
  'Express 5 at the root',
  'Express 5 at a path behind a rewriting proxy',
  'Express 4 at a path',
  'the fetch handler at a path behind a rewriting proxy',
]

describe('the console is served at any mount', () => {
  test.each(MOUNTS)('%s', async (title) => {
    const kind = HOSTS.find((each) => each.title === title)
    if (kind === undefined) throw new Error(`there is no host ${title}`)
    await using host = await openHost({ keks: ['v1'] })
    await using mounted = await kind.mount({
      vault: host.vault(),
      auth: bearerAuth({ token: TOKENS.root }),
    })
    const origin = new URL(mounted.url).origin
    await using watched = await openPage(browser, { origin })
    const { page } = watched

    await signIn(page, `${mounted.url}/console`)
    await go(page, 'Instances')
    await page.getByText('web-1/4711').first().waitFor()
    await expectClean(watched)
  })
})

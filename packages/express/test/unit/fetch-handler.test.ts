import { describe, expect, it } from 'vitest'
import { type AdminEvent, type AdminFetchOptions, adminFetchHandler, bearerAuth } from '../../src/index.ts'
import { TOKENS } from '../support/served.ts'
import { openTestVault, testStore } from '../support/test-vault.ts'

const ORIGIN = 'http://localhost/admin'
const HERE = { clientAddress: '192.0.2.1' }
const JSON_TYPE = { 'Content-Type': 'application/json' }
const auth = bearerAuth({ token: TOKENS.root })

async function handlerFor(options: Partial<AdminFetchOptions<unknown>> = {}) {
  const store = testStore()
  const vault = await openTestVault(store)
  const events: AdminEvent[] = []
  const handler = adminFetchHandler<unknown>({
    vault,
    store: store.store,
    auth,
    mountPath: '/admin',
    onEvent: (event) => void events.push(event),
    ...options,
  })
  return { vault, store, events, handler, [Symbol.asyncDispose]: () => vault.close() }
}

function asked(
  method: string,
  path: string,
  body?: string | ReadableStream<Uint8Array>,
  token: string = TOKENS.root,
): Request {
  const headers = { Authorization: `Bearer ${token}`, ...(body === undefined ? {} : JSON_TYPE) }
  const init: object = { method, headers, ...(body === undefined ? {} : { body, duplex: 'half' }) }
  return new Request(`${ORIGIN}${path}`, init)
}

async function codeOf(answer: Response | null): Promise<string | undefined> {
  const problem = (await answer?.json()) as { readonly code: string } | undefined
  return problem?.code
}

describe('adminFetchHandler', () => {
  it('answers null for every path that is none of its own', async () => {
    await using there = await handlerFor()
    for (const path of ['/rotate-all/x', '/a/b/c'])
      expect(await there.handler(asked('GET', path), HERE)).toBeNull()
    for (const url of ['http://localhost/', 'http://localhost/administrator', 'http://localhost/kek-status'])
      expect(await there.handler(new Request(url), HERE)).toBeNull()
  })

  it('is the same with and without a slash behind its mount', async () => {
    await using there = await handlerFor()
    for (const path of ['', '/', '?limit=1', '/?limit=1'])
      expect((await there.handler(asked('GET', path), HERE))?.status).toBe(200)
    await using slashed = await handlerFor({ mountPath: '/admin/' })
    expect((await slashed.handler(asked('GET', '/kek-status'), HERE))?.status).toBe(200)
  })

  it.each(['admin', 'http://localhost/admin', '/admin?x', '/admin#x'])(
    'a mountPath of %s throws',
    async (mountPath) => {
      await using vault = await openTestVault(testStore())
      expect(() => adminFetchHandler({ vault, auth, mountPath })).toThrow(TypeError)
    },
  )

  it('a store that is none throws', async () => {
    await using vault = await openTestVault(testStore())
    expect(() => adminFetchHandler({ vault, auth, store: {} as never })).toThrow(TypeError)
  })

  it('Rule 3: failures are counted for the address that the host gives', async () => {
    await using there = await handlerFor()
    const from = (clientAddress: string) =>
      there.handler(asked('GET', '/', undefined, TOKENS.read), { clientAddress })
    for (let failure = 1; failure <= 20; failure++) expect((await from('192.0.2.1'))?.status).toBe(401)
    expect((await from('192.0.2.1'))?.status).toBe(429)
    expect((await from('192.0.2.2'))?.status).toBe(401)
    expect((await there.handler(asked('GET', '/'), HERE))?.status).toBe(200)
  })

  it('Rule 3: without an address all count as one, and a valid token is answered all the same', async () => {
    await using there = await handlerFor()
    const nowhere = undefined as never
    for (let failure = 1; failure <= 20; failure++)
      await there.handler(asked('GET', '/', undefined, TOKENS.read), nowhere)
    expect((await there.handler(asked('GET', '/', undefined, TOKENS.read), nowhere))?.status).toBe(429)
    expect((await there.handler(asked('GET', '/'), nowhere))?.status).toBe(200)
  })

  it('Rule 4: a host that has read the body is told so, and nothing is guessed', async () => {
    await using there = await handlerFor()
    const request = asked('POST', '/', '{"name":"a","value":"b"}')
    await request.text()
    const answer = await there.handler(request, HERE)
    expect([answer?.status, await codeOf(answer)]).toEqual([500, 'INTERNAL'])
    const message = 'The host read the body before the admin API.'
    expect(there.events).toMatchObject([{ type: 'request_failed', error: { message } }])
    expect((await there.vault.listPage()).items).toEqual([])
  })

  it('Rule 4: a body without a length is read up to its limit, and what follows is not kept', async () => {
    await using there = await handlerFor()
    let sent = 0
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 65_536
        if (sent > 20_000_000) controller.close()
        else controller.enqueue(new Uint8Array(65_536).fill(0x20))
      },
    })
    const answer = await there.handler(asked('POST', '/', endless), HERE)
    expect([answer?.status, await codeOf(answer)]).toEqual([413, 'BODY_TOO_LARGE'])
    expect(sent).toBeGreaterThan(20_000_000)
  })

  it('Rule 4: a body that does not end is given up in time, and its sender cut off', async () => {
    await using there = await handlerFor({ bodyTimeoutMs: 100 })
    const { promise: cutOff, resolve } = Promise.withResolvers<string>()
    const slow = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(Buffer.from('{')),
      cancel: () => resolve('cut off'),
    })
    const beganMs = performance.now()
    const answer = await there.handler(asked('POST', '/', slow), HERE)
    expect(answer?.status).toBe(408)
    expect(performance.now() - beganMs).toBeLessThan(5_000)
    expect(await codeOf(answer)).toBe('BODY_TIMEOUT')
    expect(await cutOff).toBe('cut off')
  })

  it('Rule 9: a client that leaves in the middle of its body harms nobody, and is no failure', async () => {
    await using there = await handlerFor()
    const leaving = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(Buffer.from('{')),
      pull: (controller) => controller.error(new Error('gone')),
    })
    expect((await there.handler(asked('POST', '/', leaving), HERE))?.ok).toBe(false)
    expect(there.events).toEqual([])
    expect((await there.handler(asked('GET', '/'), HERE))?.status).toBe(200)
  })

  it('Rule 9: what nobody expected is answered 500, told to the host and not thrown', async () => {
    await using there = await handlerFor()
    const thrown = new Error('hunter2')
    there.store.before = () => {
      throw thrown
    }
    const answer = await there.handler(asked('GET', '/'), HERE)
    expect([answer?.status, answer?.headers.get('cache-control')]).toEqual([500, 'no-store'])
    expect(await answer?.text()).not.toContain('hunter2')
    expect(there.events).toMatchObject([{ type: 'request_failed', error: thrown }])
    there.store.before = undefined
  })

  it('ends the streams of events when it is closed', async () => {
    await using there = await handlerFor()
    const answer = await there.handler(asked('GET', '/events'), HERE)
    there.handler.close()
    expect(await answer?.text()).toBe('retry: 2000\n\n')
  })
})

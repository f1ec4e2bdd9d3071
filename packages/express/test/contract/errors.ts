import { StoreError } from '@talos/envelope'
import { describe, expect, it } from 'vitest'
import { findCanaries } from '../../../../test/canaries.ts'
import { Problem } from '../../src/index.ts'
import { answers, ask } from '../support/client.ts'
import type { Host } from '../support/hosts.ts'
import { serve, until } from '../support/served.ts'
import { openTestVault, seed, testStore } from '../support/test-vault.ts'

/** What a driver may say, and no answer may repeat. */
const DRIVER_TEXT = 'connect ECONNREFUSED postgres://admin:hunter2@10.0.0.7/db; SELECT wrap FROM secrets'

/** Rules 5 and 9: how failures look, to clients and to the host. */
export function errorsContract(host: Host): void {
  describe('Rule 5', () => {
    it('Rule 5: a problem has both forms, with the same code', async () => {
      await using served = await serve(host)
      const { status, headers, json } = await served.ask('/missing', { method: 'DELETE' })
      expect(headers['content-type']).toBe('application/problem+json')
      const detail = 'There is no secret of this name.'
      expect(status).toBe(404)
      expect(json).toEqual({
        type: 'about:blank',
        title: 'Not Found',
        status: 404,
        detail,
        code: 'SECRET_NOT_FOUND',
        error: { code: 'SECRET_NOT_FOUND', message: detail },
      })
    })

    it('Rule 5: an invalid body is told by the pointers of known members, not by its content', async () => {
      await using served = await serve(host)
      const json = { name: '', value: 7, 'echo-me': 'echo-me' }
      const answer = await served.ask('/', { method: 'POST', json })
      expect(answer.json.errors).toEqual([{ pointer: '#/name' }, { pointer: '#/value' }])
      expect(answer.text).not.toContain('echo-me')
    })

    it.each([
      ['ERR_STORE_UNAVAILABLE', 'STORE_UNAVAILABLE'],
      ['ERR_STORE_OUTCOME_UNKNOWN', 'STORE_OUTCOME_UNKNOWN'],
    ] as const)(
      'Rule 5: %s is 503, to be tried again, without a word of the driver',
      async (code, problem) => {
        await using served = await serve(host)
        served.store.before = () => {
          throw new StoreError(code, DRIVER_TEXT, { retryable: true, cause: new Error(DRIVER_TEXT) })
        }
        for (const target of ['/', '/kek-status']) {
          const { status, headers, json } = await served.ask(target)
          expect([status, json.code]).toEqual([503, problem])
          expect(headers['retry-after']).toMatch(/^[1-9]\d*$/)
        }
        expect(served.events).toMatchObject([
          { type: 'request_failed', operation: 'listSecrets', status: 503, code: problem, error: { code } },
          { type: 'request_failed', operation: 'readKekStatus', status: 503, code: problem, error: { code } },
        ])
        expect(served.errors).toEqual([])
      },
    )

    it('Rule 5: a KEK that this instance does not hold is 503, for another one may', async () => {
      const store = testStore()
      await using first = await openTestVault(store)
      await using served = await serve(host, { store, vault: { current: 'v2', holds: ['v2'] } })
      expect(first.ready).toBe(true)
      const put = await served.ask('/', { method: 'POST', json: { name: 'a', value: 'b' } })
      expect([put.status, put.json.code]).toEqual([503, 'KEK_UNAVAILABLE'])
      expect(put.headers['retry-after']).toBeUndefined()
    })

    it('Rule 5: what stopped a rotation is told without a word of the store', async () => {
      const store = testStore()
      await seed(store)
      await using served = await serve(host, { store, vault: { current: 'v2' } })
      store.before = (method) => {
        if (method === 'write') throw new StoreError('ERR_STORE_CONTRACT', DRIVER_TEXT)
      }
      const { json: started } = await served.ask('/rotate-all', { method: 'POST' })
      const status = await until(
        () => served.ask(`/rotation-status/${started.op_id}`),
        ({ json }) => json.status === 'failed',
      )
      const message = 'The store failed. The server logs say why.'
      expect(status.json.last_error).toEqual({ code: 'ERR_STORE_CONTRACT', message })
    })

    it('Rule 5: a cursor that no database takes as text does not get to the store', async () => {
      await using served = await serve(host)
      const seen: string[] = []
      served.store.before = (method) => void seen.push(method)
      const { status, json } = await served.ask('/?cursor=a%00b')
      expect([status, json.code, seen.includes('scan')]).toEqual([400, 'INVALID_CURSOR', false])
    })

    it('Rule 5: a cursor that a store does not take is 400', async () => {
      await using served = await serve(host)
      served.store.before = (method) => {
        if (method === 'scan') throw new TypeError(DRIVER_TEXT)
      }
      const { status, json } = await served.ask('/?cursor=elsewhere')
      expect([status, json.code]).toEqual([400, 'INVALID_CURSOR'])
    })

    it.each([
      ['scan', 'GET', '/', undefined],
      ['write', 'POST', '/', { name: 'new', value: 'v' }],
      ['read', 'DELETE', '/gone', undefined],
      ['readDocument', 'POST', '/rotate-all', {}],
    ])(
      'Rule 5: a store that fails in %s like a wrong argument is no fault of %s %s',
      async (fails, method, target, json) => {
        await using served = await serve(host)
        const thrown = new TypeError(DRIVER_TEXT)
        served.store.before = (called) => {
          if (called === fails) throw thrown
        }
        const answer = await served.ask(target, { method, ...(json === undefined ? {} : { json }) })
        expect([answer.status, answer.json.code]).toEqual([500, 'INTERNAL'])
        expect(answer.text).not.toContain('hunter2')
        expect(served.events).toMatchObject([{ type: 'request_failed', code: 'INTERNAL', error: thrown }])
      },
    )

    it('Rule 5: what a declared source said is told without its words', async () => {
      const store = testStore()
      await seed(store)
      await using served = await serve(host, { store, vault: { current: 'v2' } })
      served.vault.sources.add({
        name: 'orders',
        count: async () => 1,
        scan: async () => {
          throw new StoreError('ERR_STORE_UNAVAILABLE', DRIVER_TEXT, { retryable: true })
        },
        rewrap: async () => [],
      })
      const { json: started } = await served.ask('/rotate-all', { method: 'POST' })
      const status = await until(
        () => served.ask(`/rotation-status/${started.op_id}`),
        ({ json }) => json.last_error !== null,
      )
      const message = 'A declared source failed. The server logs say why.'
      expect(status.json.last_error).toEqual({ code: 'ERR_SOURCE_FAILED', message })
    })

    it('Rule 5: a rotation that has begun is 202, also when its first state cannot be read', async () => {
      await using served = await serve(host)
      let hasBegun = false
      served.store.before = (method, [key]) => {
        if (hasBegun && method === 'readDocument') throw new StoreError('ERR_STORE_UNAVAILABLE', DRIVER_TEXT)
        hasBegun ||= method === 'writeDocument' && key === 'rotation'
      }
      expect((await served.ask('/rotate-all', { method: 'POST' })).status).toBe(202)
      expect(hasBegun).toBe(true)
    })

    it('Rule 5: a secret stored with a context is 409 and not replaced, for this API gives none', async () => {
      await using served = await serve(host)
      await served.vault.put('a', 'x', { context: { tenant: 'acme' } })
      const put = await served.ask('/', { method: 'POST', json: { name: 'a', value: 'b' } })
      expect([put.status, put.json.code]).toEqual([409, 'CONTEXT_REQUIRED'])
      expect((await served.vault.get('a', { context: { tenant: 'acme' } }))?.text()).toBe('x')
    })

    it('Rule 5: a vault that was closed is 503', async () => {
      await using served = await serve(host)
      await served.vault.close()
      const { status, json } = await served.ask('/')
      expect([status, json.code]).toEqual([503, 'VAULT_CLOSED'])
    })

    it('Rule 5: writes without a keyring document are 409, for an operator has to act', async () => {
      const store = testStore()
      await seed(store)
      // No store deletes this document; a restore of the secrets alone loses it.
      const read = store.store.readDocument.bind(store.store)
      store.store.readDocument = async (key, options) => (key === 'keyring' ? null : read(key, options))
      await using served = await serve(host, { store })
      const put = await served.ask('/', { method: 'POST', json: { name: 'a', value: 'b' } })
      expect([put.status, put.json.code]).toEqual([409, 'KEYRING_STATE_LOST'])
      const rotate = await served.ask('/rotate-all', { method: 'POST' })
      expect([rotate.status, rotate.json.code]).toEqual([409, 'KEYRING_STATE_LOST'])
      const keks = await served.ask('/kek-status')
      expect([keks.status, keks.json.current_kek_id, keks.json.epoch]).toEqual([200, null, null])
    })
  })

  describe('Rule 9', () => {
    it("Rule 9: an unexpected error reaches the host's error handler as a problem that tells nothing", async () => {
      await using served = await serve(host)
      const thrown = new Error(DRIVER_TEXT)
      served.store.before = () => {
        throw thrown
      }
      const { status, json, text } = await served.ask('/')
      expect([status, json.code]).toEqual([500, 'INTERNAL'])
      expect(text).not.toMatch(/hunter2|SELECT|node_modules|\.ts/)
      if (host.hasMiddleware) {
        const [error] = served.errors
        expect(error).toBeInstanceOf(Problem)
        expect(error).toMatchObject({ status: 500, statusCode: 500, expose: false, cause: thrown })
      }
      expect(served.events).toMatchObject([
        { type: 'request_failed', status: 500, code: 'INTERNAL', error: thrown },
      ])
      served.store.before = undefined
      expect((await served.ask('/')).status).toBe(200)
    })

    it('Rule 9: an authentication that throws lets nobody in and harms nobody', async () => {
      const fail = () => {
        throw new Error(DRIVER_TEXT)
      }
      for (const auth of [
        { authenticate: fail, authorize: () => true },
        { authenticate: async () => fail(), authorize: () => true },
        { authenticate: () => 'ann', authorize: fail },
        { authenticate: () => 'ann', authorize: async () => fail() },
      ]) {
        await using served = await serve(host, { router: { auth } })
        const { status, json } = await served.ask('/')
        expect([status, json.code]).toEqual([500, 'INTERNAL'])
        expect((await ask(served.url, '/healthz')).status).toBe(200)
      }
    })

    it('Rule 9: a listener that throws changes no answer', async () => {
      const onEvent = () => {
        throw new Error('listener')
      }
      await using served = await serve(host, { router: { onEvent } })
      await served.vault.close()
      expect((await served.ask('/')).status).toBe(503)
    })

    it('Rule 9: a store that throws what is no error ends in a problem too', async () => {
      await using served = await serve(host)
      served.store.before = () => Promise.reject(undefined)
      expect((await served.ask('/')).json.code).toBe('INTERNAL')
    })
  })
}

/** Rules 1 and 7, over every answer of the run. Comes last. */
export function answersContract(wraps: () => Iterable<string>): void {
  it('Rule 1: no answer held a value, a KEK or an envelope', () => {
    expect(answers.length).toBeGreaterThan(500)
    const everything = answers
      .map(({ answer }) => `${JSON.stringify(answer.headers)}\n${answer.text}`)
      .join('\n')
    expect(findCanaries(everything)).toEqual([])
    expect(everything).not.toContain('talos:v2:')
    expect(everything).not.toMatch(/first value|second value|hunter2/)
    const seen = [...wraps()]
    expect(seen.length).toBeGreaterThan(10)
    for (const wrap of seen) expect(everything.includes(wrap)).toBe(false)
  })

  it('Rule 7: every answer of the router carries the headers that keep it private', () => {
    const own = answers.filter(({ answer }) => answer.text !== 'host' && answer.status !== 500)
    for (const { asked, answer } of own) {
      const { headers } = answer
      expect([asked, headers['cache-control']]).toEqual([asked, 'no-store'])
      expect(headers['x-content-type-options']).toBe('nosniff')
      expect(headers['referrer-policy']).toBe('no-referrer')
      expect(headers['content-security-policy']).toContain("default-src 'none'")
      expect(headers['content-security-policy']).not.toContain('unsafe')
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control-'))).toEqual([])
    }
  })
}

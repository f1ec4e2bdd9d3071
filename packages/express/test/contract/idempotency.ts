import { describe, expect, it } from 'vitest'
import type { Asked } from '../support/client.ts'
import type { Host } from '../support/hosts.ts'
import { type Served, serve, TOKENS, until } from '../support/served.ts'
import { seed, testStore } from '../support/test-vault.ts'

const SLOW = { rate_limit: 0.01 }

const keyed = (key: string | readonly string[], asked: Asked = {}): Asked => ({
  method: 'POST',
  ...asked,
  headers: [key].flat().flatMap((text) => ['Idempotency-Key', text]),
})

async function servedWithOld(host: Host): Promise<Served> {
  const store = testStore()
  await seed(store)
  return await serve(host, { store, vault: { current: 'v2' } })
}

/** Rule 6: a request that is repeated is answered as the first time. */
export function idempotencyContract(host: Host): void {
  describe('Rule 6', () => {
    it('Rule 6: 50 calls at once with one key begin one rotation, and all answers name it', async () => {
      await using served = await servedWithOld(host)
      const calls = await Promise.all(
        Array.from({ length: 50 }, () => served.ask('/rotate-all', keyed('one-key', { json: SLOW }))),
      )
      expect(new Set(calls.map(({ status }) => status))).toEqual(new Set([202]))
      expect(new Set(calls.map(({ text }) => text)).size).toBe(1)
      const replayed = calls.filter(({ headers }) => headers['idempotent-replayed'] === 'true')
      expect(replayed).toHaveLength(49)
      expect((await served.ask('/rotations')).json.rotations).toHaveLength(1)
    })

    it('Rule 6: the same key and body is answered as the first time, headers too', async () => {
      await using served = await servedWithOld(host)
      const first = await served.ask('/rotate-all', keyed('k', { json: { ...SLOW, reason: 'night' } }))
      const second = await served.ask(
        '/rotate-all',
        keyed('k', { body: ' {"reason":"night","rate_limit":1e-2}' }),
      )
      for (const name of ['location', 'retry-after', 'content-type'])
        expect([name, second.headers[name]]).toEqual([name, first.headers[name]])
      expect([second.status, second.text]).toEqual([202, first.text])
      expect((await served.ask('/rotate-all', { method: 'POST' })).status).toBe(409)
    })

    it('Rule 6: no body and the empty object are the same body', async () => {
      await using served = await servedWithOld(host)
      const first = await served.ask('/rotate-all', keyed('k'))
      expect((await served.ask('/rotate-all', keyed('k', { json: {} }))).text).toBe(first.text)
    })

    it('Rule 6: a refusal is the same the second time, whatever has changed', async () => {
      await using served = await servedWithOld(host)
      const active = await served.ask('/rotate-all', { method: 'POST', json: SLOW })
      const refused = await served.ask('/rotate-all', keyed('k'))
      expect([refused.status, refused.json.op_id]).toEqual([409, active.json.op_id])
      await served.ask(`/rotations/${active.json.op_id}/cancel`, { method: 'POST' })
      const again = await served.ask('/rotate-all', keyed('k'))
      expect([again.status, again.text, again.headers['content-type']]).toEqual([
        409,
        refused.text,
        'application/problem+json',
      ])
      expect((await served.ask('/rotate-all', keyed('another'))).status).toBe(202)
    })

    it('Rule 6: the same key with another body, path or condition is 422 and does nothing', async () => {
      await using served = await servedWithOld(host)
      const { json: started } = await served.ask('/rotate-all', keyed('k', { json: SLOW }))
      const pause = `/rotations/${started.op_id}/pause`
      for (const [target, asked] of [
        ['/rotate-all', { json: { rate_limit: 0.02 } }],
        ['/rotate-all', {}],
        [pause, { json: SLOW }],
        [pause, {}],
      ] as const) {
        const { status, json } = await served.ask(target, keyed('k', asked))
        expect([target, status, json.code]).toEqual([target, status === 400 ? 400 : 422, json.code])
        expect(['IDEMPOTENCY_KEY_REUSED', 'INVALID_BODY']).toContain(json.code)
      }
      expect((await served.ask(`/rotation-status/${started.op_id}`)).json.status).toBe('running')
      const promoted = await served.ask('/keks/v2/suspend', {
        method: 'POST',
        headers: ['Idempotency-Key', 'c', 'If-Match', '"99"'],
      })
      expect([promoted.status, promoted.json.code]).toEqual([412, 'EPOCH_CHANGED'])
      const other = await served.ask('/keks/v2/suspend', {
        method: 'POST',
        headers: ['Idempotency-Key', 'c', 'If-Match', '"98"'],
      })
      expect([other.status, other.json.code]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED'])
    })

    it('Rule 6: the same key from another principal is another key', async () => {
      await using served = await servedWithOld(host)
      const first = await served.ask('/rotate-all', keyed('k', { json: SLOW }))
      const other = await served.ask('/rotate-all', keyed('k', { json: SLOW, token: TOKENS.rotate }))
      expect([first.status, other.status, other.json.op_id]).toEqual([202, 409, first.json.op_id])
    })

    it('Rule 6: an answer is given again only to who may do what it tells of', async () => {
      const store = testStore()
      await seed(store)
      const roles = new Set(['rotate'])
      const auth = {
        authenticate: () => ({ name: 'ann' }),
        authorize: (_user: unknown, { role }: { readonly role: string }) => roles.has(role),
      }
      await using served = await serve(host, { store, vault: { current: 'v2' }, router: { auth } })
      expect((await served.ask('/rotate-all', keyed('k', { json: SLOW }))).status).toBe(202)
      roles.delete('rotate')
      roles.add('read')
      const later = await served.ask('/rotate-all', keyed('k', { json: SLOW }))
      expect([later.status, later.json.required_role, later.json.op_id]).toEqual([403, 'rotate', undefined])
    })

    // The answer takes two seconds, wherever the host is mounted.
    if (host.atRoot) {
      it('Rule 6: while the first is carried out the second is told so', async () => {
        await using served = await servedWithOld(host)
        const { promise: held, resolve: letGo } = Promise.withResolvers<void>()
        const { promise: isHeld, resolve: nowHeld } = Promise.withResolvers<void>()
        served.store.before = async (method, [key]) => {
          if (method !== 'writeDocument' || key !== 'rotation') return
          nowHeld()
          await held
        }
        const first = served.ask('/rotate-all', keyed('k'))
        await isHeld
        const second = await served.ask('/rotate-all', keyed('k'))
        expect([second.status, second.json.code]).toEqual([409, 'IDEMPOTENCY_IN_FLIGHT'])
        expect(second.headers['retry-after']).toBe('1')
        letGo()
        const answered = await first
        expect(answered.status).toBe(202)
        expect((await served.ask('/rotate-all', keyed('k'))).text).toBe(answered.text)
      })
    }

    it('Rule 6: what failed is tried anew with the same key', async () => {
      await using served = await servedWithOld(host)
      served.store.before = (method, [key]) => {
        if (method === 'writeDocument' && key === 'rotation') throw new Error('once')
      }
      expect((await served.ask('/rotate-all', keyed('k'))).status).toBe(500)
      served.store.before = undefined
      expect((await served.ask('/rotate-all', keyed('k'))).status).toBe(202)
    })

    it.each([
      ['two of them', ['a', 'b']],
      ['a space', 'a b'],
      ['nothing', ''],
      ['256 characters', 'k'.repeat(256)],
      ['letters outside ASCII', 'k\u00fc'],
    ])('Rule 6: a key with %s is refused', async (_what, key) => {
      await using served = await serve(host)
      const { status, json } = await served.ask('/rotate-all', keyed(key))
      expect([status, json.code]).toEqual([400, 'INVALID_IDEMPOTENCY_KEY'])
      expect((await served.ask('/rotations')).json.rotations).toEqual([])
    })

    it('Rule 6: without a store to remember it a key is refused, not ignored', async () => {
      await using served = await serve(host, { router: { store: undefined } as never })
      const { status, json } = await served.ask('/rotate-all', keyed('k'))
      expect([status, json.code]).toEqual([400, 'IDEMPOTENCY_NOT_OFFERED'])
      expect((await served.ask('/rotations')).json.rotations).toEqual([])
    })

    it('Rule 6: POST / ignores a key, and the store holds no digest of a value', async () => {
      await using served = await serve(host)
      for (const value of ['one', 'two']) {
        const put = await served.ask('/', keyed('k', { json: { name: 'a', value } }))
        expect(put.status).toBe(201)
      }
      expect((await served.vault.get('a'))?.text()).toBe('two')
      const { items } = await served.store.store.listDocuments({
        prefix: 'http-request/',
        cursor: null,
        limit: 10,
      })
      expect(items).toEqual([])
    })

    it('Rule 6: the key itself is not kept, and answers are replayed to no other route', async () => {
      await using served = await servedWithOld(host)
      await served.ask('/rotate-all', keyed('very-own-key'))
      const { items } = await served.store.store.listDocuments({
        prefix: 'http-request/',
        cursor: null,
        limit: 10,
      })
      expect(items).toHaveLength(1)
      expect(JSON.stringify(items)).not.toContain('very-own-key')
      await until(
        () => served.ask('/rotations'),
        ({ json }) => json.rotations[0].status === 'completed',
      )
    })
  })
}

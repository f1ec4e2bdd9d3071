import { StoreError } from '@talos/envelope'
import { describe, expect, it } from 'vitest'
import { ask } from '../support/client.ts'
import { follow } from '../support/event-stream.ts'
import type { Host } from '../support/hosts.ts'
import { serve, TOKENS } from '../support/served.ts'
import { seed, testStore } from '../support/test-vault.ts'

/** Live events. */
export function liveContract(host: Host): void {
  describe('GET /events', () => {
    it('begins with the state of everything and tells of what changes', async () => {
      const store = testStore()
      await seed(store)
      await using served = await serve(host, { store, vault: { current: 'v2' } })
      using client = await follow(served.url)
      expect(client.response.statusCode).toBe(200)
      expect(client.response.headers).toMatchObject({
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
      })
      const keks = await client.next(({ event }) => event === 'keks')
      expect(keks.data).toMatchObject({ current_kek_id: 'v2', stale_counts: { v1: 3 } })
      const fleet = await client.next(({ event }) => event === 'instances')
      expect(fleet.data).toMatchObject({ instances: [{ instance_id: served.vault.instanceId }] })
      const { json } = await served.ask('/rotate-all', { method: 'POST' })
      const done = await client.next(({ event, data }) => event === 'rotation' && data.status === 'completed')
      expect(done.data).toMatchObject({ id: json.op_id, stats: { rotated: 3 } })
      const clean = await client.next(
        (event) => event.event === 'keks' && event.data.stale_counts['v1'] === 0,
      )
      expect(clean.event).toBe('keks')
      expect(client.text().startsWith('retry: 2000\n\n')).toBe(true)

      using late = await follow(served.url)
      await late.next(({ event }) => event === 'rotation')
      expect(late.events.map(({ event }) => event).sort()).toEqual(['instances', 'keks', 'rotation'])
    })

    it('looks once for all who follow, and not at all when nobody does', async () => {
      await using served = await serve(host)
      let looks = 0
      served.store.before = (method) => {
        if (method === 'census') looks += 1
      }
      const clients = await Promise.all(Array.from({ length: 5 }, () => follow(served.url)))
      for (const client of clients) await client.next(({ event }) => event === 'keks')
      const whileFollowed = looks
      expect(whileFollowed).toBeLessThanOrEqual(2)
      for (const client of clients) client[Symbol.dispose]()
      // The first to come after all have gone finds nothing that was told before.
      for (;;) {
        using again = await follow(served.url)
        await again.next(({ event }) => event === 'keks')
        if (looks > whileFollowed) break
      }
    })

    it('takes at most as many clients as the host says, and lets the next one in when one has gone', async () => {
      await using served = await serve(host, { router: { maxEventStreams: 2 } })
      const first = await follow(served.url)
      using second = await follow(served.url)
      const refused = await served.ask('/events')
      expect([refused.status, refused.json.code]).toEqual([503, 'TOO_MANY_STREAMS'])
      expect(refused.headers['retry-after']).toBe('30')
      expect(second.response.statusCode).toBe(200)
      first[Symbol.dispose]()
      for (;;) {
        using third = await follow(served.url)
        if (third.response.statusCode === 200) break
      }
    })

    it('ends when the vault is closed', async () => {
      await using served = await serve(host)
      using client = await follow(served.url)
      await client.next(({ event }) => event === 'keks')
      await served.vault.close()
      expect(await client.ended).toBe('ended')
      expect(client.events.at(-1)).toMatchObject({ event: 'problem', data: { code: 'VAULT_CLOSED' } })
    })

    it('tells that the store does not answer, without its words, and everything anew once it does', async () => {
      await using served = await serve(host)
      using client = await follow(served.url)
      await client.next(({ event }) => event === 'keks')
      served.store.before = () => {
        throw new StoreError('ERR_STORE_UNAVAILABLE', 'postgres://admin:hunter2@10.0.0.7')
      }
      await client.next(({ event }) => event === 'problem')
      expect(served.events).toMatchObject([
        { type: 'request_failed', operation: 'streamEvents', code: 'STORE_UNAVAILABLE' },
      ])
      served.store.before = undefined
      client.events.length = 0
      await client.next(({ event }) => event === 'keks')
      expect(client.text()).toContain('STORE_UNAVAILABLE')
      expect(client.text()).not.toContain('hunter2')
    })

    it('takes a token in the header only, and the role read', async () => {
      await using served = await serve(host)
      expect((await ask(served.url, `/events?access_token=${TOKENS.root}`)).status).toBe(401)
      expect((await ask(served.url, '/events', { token: TOKENS.write })).status).toBe(403)
      const head = await served.ask('/events', { method: 'HEAD' })
      expect([head.status, head.text]).toEqual([200, ''])
    })
  })
}

import type { SecretStore } from '@talos/envelope'
import { describe, expect, it } from 'vitest'
import type { Host } from '../support/hosts.ts'
import { type Served, serve, until } from '../support/served.ts'
import { openTestVault, seed, testStore } from '../support/test-vault.ts'

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const RFC_3339_UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** Follows a link as a client does: against the address of the request that gave it. */
function resolved(served: Served, target: string, link: string): string {
  return new URL(link, `${served.url}${target}`).href.slice(served.url.length)
}

/** Rows 1 to 6 of the API and healthz: paths, fields and statuses. */
export function routesContract(host: Host): void {
  describe('POST /rotate-all', () => {
    it('starts a rotation and links to its status, relative to the request', async () => {
      const store = testStore()
      await seed(store)
      await using served = await serve(host, { store, vault: { current: 'v2' } })
      const started = await served.ask('/rotate-all', { method: 'POST' })
      expect(started.status).toBe(202)
      expect(started.json).toEqual({
        op_id: expect.stringMatching(UUID_V7),
        status: 'running',
        message: 'Rotation started.',
        status_url: `rotation-status/${started.json.op_id}`,
      })
      expect(started.headers.location).toBe(started.json.status_url)
      expect(started.headers['retry-after']).toMatch(/^[1-9]\d*$/)

      const statusPath = resolved(served, '/rotate-all', started.json.status_url)
      const status = await until(
        () => served.ask(statusPath),
        ({ json }) => json.status !== 'running',
      )
      expect(status.json).toEqual({
        id: started.json.op_id,
        status: 'completed',
        target_kek_id: 'v2',
        waiting_for: [],
        stats: { scanned: 3, rotated: 3, already_current: 0, changed: 0, deleted: 0, failed: 0 },
        pass: expect.any(Number),
        cursor: null,
        rate_limit: null,
        started_at: expect.stringMatching(RFC_3339_UTC),
        updated_at: expect.stringMatching(RFC_3339_UTC),
        completed_at: expect.stringMatching(RFC_3339_UTC),
        last_error: null,
        failures: [],
        dry_run: false,
        shards: { total: 0, done: 0, working: 0 },
        expected: 3,
        per_second: expect.any(Number),
        remaining_ms: null,
        workers: [],
        concurrency: 1,
        paused_by: null,
      })
      const keks = await served.ask('/kek-status')
      expect(keks.json).toMatchObject({ current_kek_id: 'v2', target_kek_id: 'v2', stale_counts: { v1: 0 } })
    })

    it('answers 409 with the id of the rotation that is active', async () => {
      const store = testStore()
      await seed(store)
      await using served = await serve(host, { store, vault: { current: 'v2' } })
      const first = await served.ask('/rotate-all', {
        method: 'POST',
        json: { rate_limit: 0.01, dry_run: false },
      })
      expect(first.status).toBe(202)
      const second = await served.ask('/rotate-all', { method: 'POST', json: {} })
      expect(second.status).toBe(409)
      expect(second.json).toMatchObject({
        code: 'ROTATION_ALREADY_RUNNING',
        op_id: first.json.op_id,
        error: { code: 'ROTATION_ALREADY_RUNNING', message: expect.any(String), op_id: first.json.op_id },
      })
      const status = await served.ask(`/rotation-status/${first.json.op_id}`)
      expect(status.json).toMatchObject({ status: 'running', rate_limit: 0.01 })
    })

    it('says for whom it waits while the promotion of its target is pending', async () => {
      const store = testStore()
      await using behind = await openTestVault(store)
      await using served = await serve(host, { store, vault: { current: 'v2' } })
      const started = await served.ask('/rotate-all', { method: 'POST' })
      expect(started.status).toBe(202)
      const waiting = {
        instance_id: behind.instanceId,
        process: expect.any(String),
        reason: 'kek_missing',
        message: expect.stringContaining('v2'),
      }
      expect(started.json.waiting_for).toEqual([waiting])
      const keks = await served.ask('/kek-status')
      expect(keks.json).toMatchObject({
        current_kek_id: 'v1',
        target_kek_id: 'v2',
        pending: { kek_id: 'v2', waiting_for: [waiting] },
        stale_counts: { v1: 0 },
      })
      const status = await served.ask(`/rotation-status/${started.json.op_id}`)
      expect(status.json).toMatchObject({ status: 'running', target_kek_id: 'v2', waiting_for: [waiting] })
    })

    it('answers 409 with reasons when the wished KEK can never become current', async () => {
      const store = testStore()
      await seed(store)
      const later = await openTestVault(store, { current: 'v2' })
      await later.close()
      await using served = await serve(host, { store, vault: { current: 'v1', holds: ['v1', 'v2'] } })
      const { status, json } = await served.ask('/rotate-all', { method: 'POST' })
      expect(status).toBe(409)
      expect(json).toMatchObject({ code: 'PROMOTION_BLOCKED', error: { code: 'PROMOTION_BLOCKED' } })
      expect(json.reasons).toEqual([expect.stringContaining('v1')])
      expect(json.error.reasons).toEqual(json.reasons)
    })

    it('counts in a dry run what it would re-wrap, and writes nothing', async () => {
      const store = testStore()
      await seed(store)
      await using served = await serve(host, { store, vault: { current: 'v2' } })
      const { status, json } = await served.ask('/rotate-all', { method: 'POST', json: { dry_run: true } })
      expect([status, json.message]).toEqual([202, 'Dry run started: it writes nothing.'])
      const ended = await until(
        () => served.ask(`/rotation-status/${json.op_id}`),
        (answer) => answer.json.status !== 'running',
      )
      expect(ended.json).toMatchObject({
        status: 'completed',
        dry_run: true,
        stats: { rotated: 3, failed: 0 },
      })
      expect((await served.ask('/kek-status')).json.stale_counts).toEqual({ v1: 3 })
    })

    it('gives absolute links under publicUrl', async () => {
      const publicUrl = 'https://ops.example/admin/v1/secrets/'
      await using served = await serve(host, { router: { publicUrl } })
      const { headers, json } = await served.ask('/rotate-all', { method: 'POST' })
      expect(json.status_url).toBe(`${publicUrl}rotation-status/${json.op_id}`)
      expect(headers.location).toBe(json.status_url)
    })
  })

  describe('GET /rotation-status/:op_id', () => {
    it.each(['01890a5d-ac96-774b-bcce-b302099a8057', 'unknown', '..%2Frotation', '%00'])(
      'answers 404 for the unknown id %s',
      async (id) => {
        await using served = await serve(host)
        const { status, json } = await served.ask(`/rotation-status/${id}`)
        expect([status, json.code]).toEqual([404, 'ROTATION_NOT_FOUND'])
      },
    )
  })

  describe('GET /kek-status', () => {
    it('tells KEKs, counts and readiness', async () => {
      const store = testStore()
      await seed(store)
      await using served = await serve(host, { store, vault: { current: 'v2' } })
      const { status, json } = await served.ask('/kek-status')
      expect(status).toBe(200)
      const at = expect.stringMatching(RFC_3339_UTC)
      const kek = {
        fingerprint: expect.stringMatching(/^[0-9a-f]{16}$/),
        loaded: true,
        promoted_at: at,
        suspended_at: null,
        retired_at: null,
        compromised_at: null,
        escrowed_at: null,
      }
      expect(json).toEqual({
        ready: true,
        current_kek_id: 'v2',
        target_kek_id: 'v2',
        wished_kek_id: 'v2',
        pending: null,
        loaded_kek_ids: ['v1', 'v2'],
        stale_counts: { v1: 3 },
        counts: { level: 'strong', as_of: expect.stringMatching(RFC_3339_UTC), records: 3, at_least: [] },
        fleet: { live: 1, silent: 0, disagreeing: 0 },
        namespace: 'gateway',
        instance_id: served.vault.instanceId,
        epoch: expect.any(Number),
        reasons: [],
        notices: [],
        keks: [
          { ...kek, id: 'v1', state: 'decrypt-only', records: 3, fenced_at: at },
          { ...kek, id: 'v2', state: 'current', records: 0, fenced_at: null },
        ],
      })
    })

    it('counts the instances that do not hold what is needed', async () => {
      const store = testStore()
      await seed(store)
      await using behind = await openTestVault(store, { current: 'v2', holds: ['v2'] })
      await using served = await serve(host, { store, vault: { current: 'v2' } })
      const { json } = await served.ask('/kek-status')
      expect(behind.ready).toBe(false)
      expect(json.fleet).toEqual({ live: 2, silent: 0, disagreeing: 1 })
    })

    it('marks the counts that are lower bounds, and leaves a 0 alone', async () => {
      const store = testStore()
      await seed(store)
      const many = new Map([
        ['v1', 100_001],
        ['v2', 10_001],
      ])
      const counting = new Proxy(store.store, {
        get: (target, method: keyof SecretStore) =>
          method === 'census' ? async () => many : target[method]?.bind(target),
      })
      await using served = await serve(host, {
        store: { ...store, store: counting },
        vault: { current: 'v2' },
      })
      const { json } = await served.ask('/kek-status')
      expect(json).toMatchObject({
        stale_counts: { v1: 100_001 },
        counts: { records: 110_002, at_least: ['v1', 'v2'] },
      })
      many.set('v1', 100_000).set('v2', 10_000)
      expect((await served.ask('/kek-status')).json).toMatchObject({
        stale_counts: { v1: 100_000 },
        counts: { records: 110_000, at_least: [] },
      })
      many.delete('v1')
      expect((await served.ask('/kek-status')).json).toMatchObject({
        stale_counts: { v1: 0 },
        counts: { at_least: [] },
      })
    })

    it('names the KEK that keeps this instance from being ready', async () => {
      const store = testStore()
      await seed(store)
      await using served = await serve(host, { store, vault: { current: 'v2', holds: ['v2'] } })
      const { json } = await served.ask('/kek-status')
      expect(json.ready).toBe(false)
      const fingerprint = expect.stringMatching(/^[0-9a-f]{16}$/)
      expect(json.reasons).toContainEqual(
        expect.objectContaining({ code: 'ERR_KEK_NOT_LOADED', kek_id: 'v1', fingerprint }),
      )
      expect((await served.ask('/healthz')).status).toBe(503)
    })
  })

  describe('GET /', () => {
    it('lists metadata page by page', async () => {
      const store = testStore()
      const names = await seed(store, 5)
      await using served = await serve(host, { store })
      const seen: Record<string, unknown>[] = []
      let target = '/?limit=2'
      for (;;) {
        const { status, json } = await served.ask(target)
        expect(status).toBe(200)
        expect(json.secrets.length).toBeLessThanOrEqual(2)
        seen.push(...json.secrets)
        if (json.next === undefined) break
        target = `/?limit=2&cursor=${encodeURIComponent(json.next)}`
      }
      expect(seen.map(({ name }) => name).sort()).toEqual(names)
      const at = expect.stringMatching(RFC_3339_UTC)
      for (const entry of seen) {
        const times = { created_at: at, updated_at: at, rotated_at: null }
        expect(entry).toEqual({ name: entry['name'], key_id: 'v1', version: 1, ...times })
      }
    })

    it.each(['limit=0', 'limit=1001', 'limit=x', 'limit=', 'limit=1&limit=2'])(
      'refuses ?%s',
      async (query) => {
        await using served = await serve(host)
        const { status, json } = await served.ask(`/?${query}`)
        expect([status, json.code]).toEqual([400, 'INVALID_QUERY'])
      },
    )
  })

  describe('POST /', () => {
    it('creates and replaces, and answers the name and nothing of the value', async () => {
      await using served = await serve(host)
      for (const value of ['first value', 'second value']) {
        const { status, json } = await served.ask('/', { method: 'POST', json: { name: 'a/ü', value } })
        expect(status).toBe(201)
        expect(json).toEqual({ success: true, name: 'a/ü' })
      }
      const stored = await served.vault.get('a/ü')
      expect([stored?.text(), stored?.version]).toEqual(['second value', 2])
    })

    it('takes bytes as value_b64u, in their only spelling', async () => {
      await using served = await serve(host)
      const put = (value_b64u: string) => served.ask('/', { method: 'POST', json: { name: 'a', value_b64u } })
      expect((await put('_wD-')).status).toBe(201)
      expect((await served.vault.get('a'))?.bytes()).toEqual(Uint8Array.of(255, 0, 254))
      for (const other of ['_wD-=', '/wD+', '_wC', '_', ' ']) expect((await put(other)).status).toBe(400)
    })

    it('takes a value of exactly the limit, however it is spelt, and answers 413 above it', async () => {
      await using served = await serve(host)
      const put = (value: string) =>
        served.ask('/', { method: 'POST', body: `{"name":"a","value":"${value}"}` })
      expect((await put('x'.repeat(65_536))).status).toBe(201)
      expect((await put('\\u0001'.repeat(65_536))).status).toBe(201)
      const above = await put('x'.repeat(65_537))
      expect([above.status, above.json.code]).toEqual([413, 'VALUE_TOO_LARGE'])
    })

    it.each([
      ['no name', { value: 'v' }],
      ['no value', { name: 'n' }],
      ['two values', { name: 'n', value: 'v', value_b64u: 'dg' }],
      ['an empty name', { name: '', value: 'v' }],
      ['a name of 513 bytes', { name: `${'ü'.repeat(256)}x`, value: 'v' }],
      ['a name with U+0000', { name: 'a\0', value: 'v' }],
      ['a number as value', { name: 'n', value: 1 }],
      ['a caller pair', { name: 'n', value: 'v', context: { tenant: 'acme' } }],
      ['a list', []],
      ['null', null],
    ])('refuses a body with %s', async (_what, json) => {
      await using served = await serve(host)
      const answer = await served.ask('/', { method: 'POST', json })
      expect([answer.status, answer.json.code]).toEqual([400, 'INVALID_BODY'])
    })

    it('refuses half a surrogate pair in name and value', async () => {
      await using served = await serve(host)
      for (const body of ['{"name":"\\ud800","value":"v"}', '{"name":"n","value":"\\ud800"}']) {
        expect((await served.ask('/', { method: 'POST', body })).status).toBe(400)
      }
    })
  })

  describe('DELETE /:name and DELETE /?name=', () => {
    it.each(['plain', 'a b+c%', 'ü😀', 'rotate-all', 'healthz'])('deletes %s by path', async (name) => {
      await using served = await serve(host)
      await served.vault.put(name, 'v')
      const { status, json } = await served.ask(`/${encodeURIComponent(name)}`, { method: 'DELETE' })
      expect([status, json]).toEqual([200, { success: true }])
      expect(await served.vault.get(name)).toBeNull()
    })

    it.each(['..', '.', 'openai/prod', 'a b+c%', '?name='])('deletes %s by query', async (name) => {
      await using served = await serve(host)
      await served.vault.put(name, 'v')
      const target = `/?name=${encodeURIComponent(name)}`
      expect((await served.ask(target, { method: 'DELETE' })).json).toEqual({ success: true })
      const again = await served.ask(target, { method: 'DELETE' })
      expect([again.status, again.json.code]).toEqual([404, 'SECRET_NOT_FOUND'])
    })

    it('reads + in a query as a space and in a path as itself', async () => {
      await using served = await serve(host)
      for (const name of ['a b', 'c+d']) await served.vault.put(name, 'v')
      expect((await served.ask('/?name=a+b', { method: 'DELETE' })).status).toBe(200)
      expect((await served.ask('/c+d', { method: 'DELETE' })).status).toBe(200)
    })

    // The web's URLs resolve these two away, as clients do: what is left is another path.
    const resolvedAway = host.hasMiddleware ? ['/%2e%2e', '/%2E'] : []
    it.each(['/openai%2Fprod', ...resolvedAway, '/', '/?name=', '/%00'])(
      'refuses the name in %s',
      async (target) => {
        await using served = await serve(host)
        const { status, json } = await served.ask(target, { method: 'DELETE' })
        expect([status, json.code]).toEqual([400, 'INVALID_NAME'])
      },
    )
  })

  describe('GET /healthz', () => {
    it('tells readiness and nothing else, to everybody', async () => {
      await using served = await serve(host)
      const ready = await served.ask('/healthz', { headers: {} })
      expect([ready.status, ready.json]).toEqual([200, { ready: true }])
      await served.vault.close()
      const closed = await served.ask('/healthz', { headers: {} })
      expect([closed.status, closed.json]).toEqual([503, { ready: false }])
    })
  })
}

import { describe, expect, it } from 'vitest'
import { type AdminRole, adminRouter, bearerAuth } from '../../src/index.ts'
import { type Asked, ask } from '../support/client.ts'
import type { Host } from '../support/hosts.ts'
import { ROLES, serve, TOKENS, until } from '../support/served.ts'
import { openTestVault, seed, testStore } from '../support/test-vault.ts'

const UNKNOWN_ID = '01890a5d-ac96-774b-bcce-b302099a8057'
/** Every route with a role, with what it answers to those who have it. */
const ROUTES: readonly {
  readonly target: string
  readonly role: AdminRole
  readonly status: number
  readonly asked: Asked
}[] = [
  { target: '/rotate-all', role: 'rotate', status: 202, asked: { method: 'POST' } },
  { target: `/rotation-status/${UNKNOWN_ID}`, role: 'read', status: 404, asked: { method: 'GET' } },
  { target: '/kek-status', role: 'read', status: 200, asked: { method: 'GET' } },
  { target: '/', role: 'read', status: 200, asked: { method: 'GET' } },
  { target: '/', role: 'write', status: 201, asked: { method: 'POST', json: { name: 'a', value: 'b' } } },
  { target: '/missing', role: 'write', status: 404, asked: { method: 'DELETE' } },
  { target: '/?name=missing', role: 'write', status: 404, asked: { method: 'DELETE' } },
  { target: '/rotations', role: 'read', status: 200, asked: { method: 'GET' } },
  { target: `/rotations/${UNKNOWN_ID}/pause`, role: 'rotate', status: 404, asked: { method: 'POST' } },
  { target: `/rotations/${UNKNOWN_ID}/resume`, role: 'rotate', status: 404, asked: { method: 'POST' } },
  { target: `/rotations/${UNKNOWN_ID}/cancel`, role: 'rotate', status: 404, asked: { method: 'POST' } },
  { target: `/rotations/${UNKNOWN_ID}/retry-failed`, role: 'rotate', status: 404, asked: { method: 'POST' } },
  { target: '/keks/v9/promote', role: 'admin', status: 409, asked: { method: 'POST' } },
  { target: '/keks/v9/suspend', role: 'admin', status: 404, asked: { method: 'POST' } },
  { target: '/keks/v9/resume', role: 'admin', status: 404, asked: { method: 'POST' } },
  { target: '/keks/v9/retire', role: 'retire', status: 404, asked: { method: 'POST' } },
  { target: '/keks/v9/retirement', role: 'retire', status: 404, asked: { method: 'GET' } },
  { target: '/instances', role: 'read', status: 200, asked: { method: 'GET' } },
  { target: '/audit', role: 'read', status: 200, asked: { method: 'GET' } },
  { target: '/events', role: 'read', status: 200, asked: { method: 'HEAD' } },
  { target: '/session', role: 'read', status: 200, asked: { method: 'GET' } },
  { target: '/openapi.json', role: 'read', status: 200, asked: { method: 'GET' } },
]
const WRONG = 'n0tTheR1ghtT0ken-aB3dE5gH7jK9mN1pQ'
const bearer = (text: string): Asked => ({ headers: ['Authorization', text] })
const UNAUTHENTICATED: readonly (readonly [what: string, asked: Asked, query?: string])[] = [
  ['no header', {}],
  ['a wrong token', { token: WRONG }],
  ['a wrong token with the scheme in small letters', bearer(`bearer ${WRONG}`)],
  ['the beginning of a token', { token: TOKENS.root.slice(0, -1) }],
  ['a token with one character more', { token: `${TOKENS.root}x` }],
  ['the end of a token', { token: TOKENS.root.slice(1) }],
  ['a token in small letters', { token: TOKENS.root.toLowerCase() }],
  ['a token with a space and more behind it', bearer(`Bearer ${TOKENS.root} x`)],
  ['an empty header', bearer('')],
  ['one letter', bearer('bearer x')],
  ['the scheme alone', bearer('Bearer')],
  ['another scheme', bearer(`Basic ${TOKENS.root}`)],
  ['a token without a scheme', bearer(TOKENS.root)],
  ['two tokens in one header', bearer(`Bearer ${TOKENS.root}, Bearer ${TOKENS.root}`)],
  [
    'two headers',
    { headers: ['Authorization', `Bearer ${TOKENS.root}`, 'authorization', `Bearer ${WRONG}`] },
  ],
  ['the same header twice', { token: TOKENS.root, headers: { authorization: `Bearer ${TOKENS.root}` } }],
  ['letters outside ASCII', bearer(`Bearer ${TOKENS.root}\u00fc`)],
  ['8 KiB', bearer(`Bearer ${'x'.repeat(8_192)}`)],
  ['the token in the query', {}, `access_token=${TOKENS.root}`],
  ['the token in a cookie', { headers: { cookie: `token=${TOKENS.root}` } }],
]

const isRetirement = ({ action }: { readonly action: string }): boolean => action === 'retire'

/** Rules 2 and 3: who gets in. */
export function authenticationContract(host: Host): void {
  describe('Rule 2', () => {
    it('Rule 2: the status routes take no caller without a token, unless the host says so', async () => {
      await using served = await serve(host)
      for (const target of ['/kek-status', `/rotation-status/${UNKNOWN_ID}`]) {
        expect((await ask(served.url, target)).status).toBe(401)
      }
    })

    it('Rule 2: with anonymousStatus they tell counts and states, and nothing else', async () => {
      const store = testStore()
      await seed(store)
      await using behind = await openTestVault(store)
      await using served = await serve(host, {
        store,
        vault: { current: 'v2' },
        router: { anonymousStatus: true },
      })
      const { json: started } = await served.ask('/rotate-all', { method: 'POST' })
      const keks = await ask(served.url, '/kek-status')
      expect(keks.json).toEqual({
        ready: true,
        current_kek_id: 'v1',
        target_kek_id: 'v2',
        pending: { kek_id: 'v2' },
        loaded_kek_ids: ['v1', 'v2'],
        stale_counts: { v1: 3 },
        counts: { level: 'strong', as_of: expect.any(String), records: 3, at_least: [] },
      })
      const rotation = await ask(served.url, `/rotation-status/${started.op_id}`)
      expect(rotation.json).toEqual({
        id: started.op_id,
        status: 'running',
        target_kek_id: 'v2',
        stats: expect.any(Object),
        pass: 1,
        started_at: expect.any(String),
        updated_at: expect.any(String),
        completed_at: null,
      })
      expect(rotation.text).not.toContain(behind.instanceId)
      expect((await ask(served.url, '/kek-status', { token: WRONG })).status).toBe(401)
      expect((await ask(served.url, '/')).status).toBe(401)
      expect((await served.ask('/kek-status')).json.namespace).toBe('gateway')
    })

    it('Rule 2: callers without a token share one look at the store, however many they are', async () => {
      await using served = await serve(host, { router: { anonymousStatus: true } })
      const go = Promise.withResolvers<void>()
      let looks = 0
      served.store.before = async (method) => {
        if (method !== 'census') return
        looks += 1
        await go.promise
      }
      const asking = Array.from({ length: 8 }, () => ask(served.url, '/kek-status'))
      await until(
        async () => looks,
        (seen) => seen > 0,
      )
      // Answered behind the eight on their own connections: by then all of them have come in.
      for (let others = 0; others < 10; others++) await ask(served.url, '/healthz')
      go.resolve()
      const statuses = (await Promise.all(asking)).map(({ status }) => status)
      expect([looks, new Set(statuses)]).toEqual([1, new Set([200])])
      await ask(served.url, '/kek-status')
      expect(looks).toBe(2)
    })

    it("Rule 2: the host's own authentication decides, and only `true` is a yes", async () => {
      const asked: unknown[] = []
      await using served = await serve(host, {
        router: {
          auth: {
            authenticate: ({ headers }) => {
              const user = headers instanceof Headers ? headers.get('x-user') : headers['x-user']
              return typeof user === 'string' ? { user } : null
            },
            authorize: async (principal, action) => {
              asked.push([principal, action])
              const answers: Record<string, unknown> = { listSecrets: true, readKekStatus: 'yes' }
              return answers[action.operation] as boolean
            },
          },
        },
      })
      const as = (user: string, target: string) => ask(served.url, target, { headers: { 'X-User': user } })
      expect((await ask(served.url, '/')).status).toBe(401)
      expect((await as('ann', '/')).status).toBe(200)
      expect((await as('ann', '/kek-status')).status).toBe(403)
      expect((await as('ann', `/rotation-status/${UNKNOWN_ID}`)).status).toBe(403)
      expect(asked[0]).toEqual([{ user: 'ann' }, { role: 'read', operation: 'listSecrets' }])
    })
  })

  describe('Rule 3', () => {
    it.each(ROUTES)(
      'Rule 3: $asked.method $target needs the role $role',
      async ({ target, role, status, asked }) => {
        await using served = await serve(host)
        for (const given of ROLES) {
          const answer = await ask(served.url, target, {
            ...asked,
            token: TOKENS[given as keyof typeof TOKENS],
          })
          if (given === role) expect(answer.status).toBe(status)
          else expect(answer.status).toBe(403)
          if (given !== role && asked.method !== 'HEAD') expect(answer.json.required_role).toBe(role)
        }
        expect((await ask(served.url, target, asked)).status).toBe(401)
      },
    )

    it('Rule 3: missing, wrong and malformed get one identical answer', async () => {
      const seen = new Set<string>()
      // More failures than an address may have: two servers share them.
      for (const half of [UNAUTHENTICATED.slice(0, 10), UNAUTHENTICATED.slice(10)]) {
        await using served = await serve(host)
        for (const [what, asked, query = ''] of half) {
          const { status, text, headers } = await ask(served.url, `/?${query}`, asked)
          expect([what, status, headers['www-authenticate']]).toEqual([what, 401, 'Bearer'])
          const { date: _, ...others } = headers
          seen.add(JSON.stringify([status, text, others]))
        }
      }
      console.log(`${host.title}: ${UNAUTHENTICATED.length} ways without a valid token, ${seen.size} answer`)
      expect(seen.size).toBe(1)
    })

    it.each(['bearer', 'BEARER', 'Bearer '])(
      'Rule 3: the scheme "%s" is the same to a right token',
      async (scheme) => {
        await using served = await serve(host)
        expect((await ask(served.url, '/', bearer(`${scheme} ${TOKENS.root}`))).status).toBe(200)
      },
    )

    it('Rule 3: no spelling of a path and no other method gets around the token', async () => {
      await using served = await serve(host, { router: { anonymousStatus: true } })
      await served.vault.put('kept', 'value')
      const targets = [
        '/',
        '/?name=kept',
        '/kept',
        '/healthz/',
        '/healthz/../kek-status',
        '/healthz%2f..',
        '/healthz;/audit',
        '/console/../audit',
        '/console/..%2faudit',
        '/console%2f..%2faudit',
        '/console/%2e%2e/audit',
        '//audit',
        '/audit/',
        '/AUDIT',
        '/%61udit',
        '/audit%00',
        '/audit#/console',
        '/session',
        '/__proto__',
        '/constructor?__proto__=1',
        `/rotation-status/${UNKNOWN_ID}/`,
        '/keks/v1/retire',
        '/keks/__proto__/retire',
        '/keks/v1%2fretire',
      ]
      for (const target of targets) {
        for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
          const headers = { 'X-HTTP-Method-Override': 'GET', 'X-Original-URL': '/healthz' }
          const { status, json } = await ask(served.url, target, { method, headers })
          // Where the host resolves dots, one of them is the status that is told without a token.
          const isCounts = json?.stale_counts !== undefined && json.namespace === undefined
          const isClosed = isCounts || [400, 401, 404, 429].includes(status)
          expect([method, target, isClosed]).toEqual([method, target, true])
        }
      }
      for (const target of ['/', '/audit', '/session', '/events', '/openapi.json']) {
        expect([401, 429]).toContain((await ask(served.url, target, { method: 'HEAD' })).status)
      }
      expect((await served.vault.get('kept'))?.text()).toBe('value')
      expect((await served.ask('/audit')).json.events.filter(isRetirement)).toEqual([])
    })

    it('Rule 3: a body is not looked at before the token', async () => {
      await using served = await serve(host)
      expect((await ask(served.url, '/', { method: 'POST', body: '{' })).status).toBe(401)
    })

    it('Rule 3: after 20 failures a minute an address is told to wait, but a valid token is never limited', async () => {
      await using served = await serve(host)
      for (let failure = 1; failure <= 20; failure++) {
        expect((await ask(served.url, '/', { token: WRONG })).status).toBe(401)
      }
      const limited = await ask(served.url, '/', { token: WRONG })
      expect([limited.status, limited.json.code]).toEqual([429, 'TOO_MANY_FAILURES'])
      expect(Number(limited.headers['retry-after'])).toBeGreaterThan(0)
      expect(Number(limited.headers['retry-after'])).toBeLessThanOrEqual(60)
      expect((await served.ask('/')).status).toBe(200)
      expect((await ask(served.url, '/healthz')).status).toBe(200)
    })

    if (host.hasMiddleware) {
      it('Rule 3: failures are counted for the address that the host trusts its proxy to tell', async () => {
        await using served = await serve(host, { host: { trustsProxy: true } })
        const from = (address: string) => ask(served.url, '/', { headers: { 'X-Forwarded-For': address } })
        for (let failure = 1; failure <= 20; failure++) await from('192.0.2.1')
        expect((await from('192.0.2.1')).status).toBe(429)
        expect((await from('192.0.2.2')).status).toBe(401)
      })
    }

    it('Rule 3: the short form of bearerAuth gives one token all roles', async () => {
      await using served = await serve(host, { router: { auth: bearerAuth({ token: TOKENS.read }) } })
      for (const { target, status, asked } of ROUTES) {
        expect((await ask(served.url, target, { ...asked, token: TOKENS.read })).status).toBe(status)
      }
    })
  })
}

/** Rule 2 before anything is mounted. */
export function mountingContract(): void {
  it('Rule 2: mounting without an authentication choice throws', async () => {
    await using vault = await openTestVault(testStore())
    for (const auth of [undefined, null, {}, { authenticate: () => null }, { authorize: () => true }]) {
      expect(() => adminRouter({ vault, auth } as never)).toThrow(TypeError)
    }
  })

  it.each(['nonsense', 'ftp://ops.example/', 'https://ops.example/?a=b', 'https://u:p@ops.example/', ''])(
    'a publicUrl of %s throws',
    async (publicUrl) => {
      await using vault = await openTestVault(testStore())
      expect(() => adminRouter({ vault, auth: bearerAuth({ token: TOKENS.root }), publicUrl })).toThrow(
        TypeError,
      )
    },
  )
}

import { beforeAll, describe, expect, it } from 'vitest'
import { buildConsole } from '../../../console/build.mjs'
import { ask } from '../support/client.ts'
import type { Host } from '../support/hosts.ts'
import { serve, TOKENS } from '../support/served.ts'
import { openTestVault, seed, testStore } from '../support/test-vault.ts'

const MISSING = { holding: 'missing', fingerprint: null }

/** Instances, audit trail, session, document and console. */
export function readingContract(host: Host): void {
  it('GET /instances tells what each instance holds', async () => {
    const store = testStore()
    await seed(store)
    await using behind = await openTestVault(store)
    await using served = await serve(host, { store, vault: { current: 'v2' } })
    const { status, json } = await served.ask('/instances')
    expect(status).toBe(200)
    expect([json.epoch, json.instances.length]).toEqual([1, 2])
    const held = { holding: 'held' }
    const common = { role: 'member', state: 'live', agrees: true }
    const one = { instance_id: behind.instanceId, wished_kek_id: 'v1' }
    const other = { instance_id: served.vault.instanceId, wished_kek_id: 'v2' }
    expect(json.instances).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ ...common, ...one, keks: expect.objectContaining({ v2: MISSING }) }),
        expect.objectContaining({
          ...common,
          ...other,
          keks: { v1: expect.objectContaining(held), v2: expect.objectContaining(held) },
        }),
      ]),
    )
  })

  it('GET /audit lists the trail page by page, newest first', async () => {
    await using served = await serve(host, { vault: { current: 'v1', holds: ['v1', 'v2'] } })
    await served.ask('/keks/v2/promote', { method: 'POST' })
    const seen: string[] = []
    let target = '/audit?limit=1'
    for (;;) {
      const { status, json } = await served.ask(target)
      expect(status).toBe(200)
      expect(json.unreadable).toEqual([])
      seen.push(...json.events.map(({ id }: { id: string }) => id))
      if (json.next === undefined) break
      target = `/audit?limit=1&cursor=${encodeURIComponent(json.next)}`
    }
    expect(seen.length).toBeGreaterThanOrEqual(2)
    const whole = (await served.ask('/audit')).json.events
    expect(whole.map(({ id }: { id: string }) => id)).toEqual(seen)
    expect(whole.map(({ phase }: { phase: string }) => phase).slice(0, 2)).toEqual(['done', 'intent'])
    const wrong = await served.ask('/audit?cursor=elsewhere')
    expect([wrong.status, wrong.json.code]).toEqual([400, 'INVALID_CURSOR'])
  })

  it('GET /audit says so when the trail is kept elsewhere', async () => {
    await using served = await serve(host, { vault: { audit: { append: async () => {} } } })
    for (const query of ['', '?cursor=1.2']) {
      const { status, json } = await served.ask(`/audit${query}`)
      expect([status, json.code]).toEqual([404, 'AUDIT_ELSEWHERE'])
    }
  })

  it('GET /session tells who is asking and what they may do', async () => {
    await using served = await serve(host)
    const root = await served.ask('/session')
    expect(root.json).toMatchObject({ name: 'root', roles: ['rotate', 'read', 'write', 'admin', 'retire'] })
    expect(root.json.operations).toContain('retireKek')
    const reader = await served.ask('/session', { token: TOKENS.read })
    expect(reader.json).toMatchObject({ name: 'reader', roles: ['read'] })
    expect(reader.json.operations).not.toContain('startRotation')
    expect(reader.json.operations).toContain('listSecrets')
  })

  it('GET /openapi.json is a document whose own paths are answered', async () => {
    await using served = await serve(host)
    const { status, headers, json } = await served.ask('/openapi.json')
    expect([status, headers['content-type'], json.openapi]).toEqual([200, 'application/json', '3.1.0'])
    const server = new URL(json.servers[0].url, `${served.url}/openapi.json`).href.replace(/\/$/, '')
    expect((await ask(server, '/kek-status', { token: TOKENS.read })).status).toBe(200)
  })

  describe('GET /console', () => {
    beforeAll(() => buildConsole())

    it('Rule 7: is a page with a policy of its own, for everybody', async () => {
      await using served = await serve(host)
      const { status, headers, text } = await ask(served.url, '/console')
      expect([status, headers['content-type']]).toEqual([200, 'text/html; charset=utf-8'])
      const policy = `${headers['content-security-policy']}`
      expect(policy).toContain("script-src 'self'")
      expect(policy).toContain("trusted-types 'none'")
      expect(policy).not.toContain('unsafe')
      expect(headers['cross-origin-opener-policy']).toBe('same-origin')
      for (const [, link = ''] of text.matchAll(/(?:src|href)="(console\/[^"]+)"/g)) {
        const asset = await ask(served.url, `/${link}`)
        expect([link, asset.status, asset.headers['x-content-type-options']]).toEqual([link, 200, 'nosniff'])
      }
      const other = await ask(served.url, '/console/manifest.json')
      expect([other.status, other.json.code]).toEqual([404, 'CONSOLE_FILE_NOT_FOUND'])
    })

    it.each(['GET', 'HEAD'])('leads %s /console/ to the page, relative to the request', async (method) => {
      await using served = await serve(host)
      const { status, headers, text } = await ask(served.url, '/console/?x=1', { method })
      expect([status, headers.location, text]).toEqual([308, '../console', ''])
      const there = new URL(`${headers.location}`, `${served.url}/console/?x=1`)
      expect(there.href).toBe(`${served.url}/console`)
    })

    it('leads nobody to another host', async () => {
      await using served = await serve(host, { router: { publicUrl: 'https://ops.example/keys' } })
      expect((await ask(served.url, '/console/')).headers.location).toBe('../console')
      for (const target of ['/console//', '//console/', '/console//elsewhere.example/', '/console/%2F']) {
        // Express 4 takes a doubled slash behind the mount for one.
        expect(['../console', undefined]).toContain((await ask(served.url, target)).headers.location)
      }
    })

    it('is not there for a host that does not want it', async () => {
      await using served = await serve(host, { router: { console: false } })
      for (const target of ['/console/', '/console/x'])
        expect((await ask(served.url, target)).text).toBe('host')
    })
  })
}

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Host } from '../support/hosts.ts'
import { type Served, serve, until } from '../support/served.ts'
import { openTestVault, seed, testStore } from '../support/test-vault.ts'

const BOTH = { holds: ['v1', 'v2'] } as const
const certificateSchema = JSON.parse(
  readFileSync(
    join(import.meta.dirname, '../../../../docs/reference/retirement-certificate.schema.json'),
    'utf8',
  ),
) as { readonly required: readonly string[] }

const post = (served: Served, target: string, json?: unknown, ifMatch?: string) =>
  served.ask(target, {
    method: 'POST',
    ...(json === undefined ? {} : { json }),
    ...(ifMatch === undefined ? {} : { headers: { 'If-Match': ifMatch } }),
  })

async function rotated(served: Served): Promise<void> {
  const { json } = await post(served, '/rotate-all')
  await until(
    () => served.ask(`/rotation-status/${json.op_id}`),
    (answer) => answer.json.status === 'completed',
  )
}

/** The life of KEKs by command: promote, suspend, resume, retire. */
export function keksContract(host: Host): void {
  describe('POST /keks/:id/promote', () => {
    it('makes a KEK current at the epoch that If-Match names', async () => {
      await using served = await serve(host, { vault: { current: 'v1', ...BOTH } })
      const { epoch } = (await served.ask('/kek-status')).json
      const late = await post(served, '/keks/v2/promote', {}, `"${epoch + 1}"`)
      expect([late.status, late.json.code]).toEqual([412, 'EPOCH_CHANGED'])
      expect((await served.ask('/kek-status')).json.current_kek_id).toBe('v1')
      const done = await post(served, '/keks/v2/promote', { reason: 'a test' }, `"${epoch}"`)
      expect([done.status, done.json, done.headers.etag]).toEqual([
        200,
        { epoch: epoch + 1 },
        `"${epoch + 1}"`,
      ])
      expect((await served.ask('/kek-status')).json).toMatchObject({ current_kek_id: 'v2', epoch: epoch + 1 })
    })

    it.each(['1', '"x"', 'W/"1"', '*', '"1", "2"', '"01"'])('takes no If-Match of %s', async (ifMatch) => {
      await using served = await serve(host, { vault: { current: 'v1', ...BOTH } })
      const { status, json } = await post(served, '/keks/v2/promote', {}, ifMatch)
      expect([status, json.code]).toEqual([400, 'INVALID_IF_MATCH'])
      expect((await served.ask('/kek-status')).json.current_kek_id).toBe('v1')
    })

    it('names each instance that stands in the way, and leaves out those that are skipped with a reason', async () => {
      const store = testStore()
      await using behind = await openTestVault(store)
      await using served = await serve(host, { store, vault: { current: 'v1', ...BOTH } })
      const blocked = await post(served, '/keks/v2/promote')
      expect([blocked.status, blocked.json.code]).toEqual([409, 'PROMOTION_BLOCKED'])
      expect(blocked.json.reasons).toEqual([expect.stringContaining('v2')])
      const skip_instances = [behind.instanceId]
      const silent = await post(served, '/keks/v2/promote', { skip_instances })
      expect([silent.status, silent.json.code, silent.json.errors]).toEqual([
        400,
        'INVALID_BODY',
        [{ pointer: '#/reason' }],
      ])
      const done = await post(served, '/keks/v2/promote', { skip_instances, reason: 'hangs' })
      expect(done.status).toBe(200)
    })

    it.each(['nope', 'V1', '..', 'a'.repeat(33), '%00', 'v1_file', '__proto__', 'constructor'])(
      'knows no KEK of the id %s',
      async (id) => {
        await using served = await serve(host)
        for (const verb of ['suspend', 'resume', 'retire']) {
          // The web's URLs resolve two dots away: another path, and none of the API's.
          if (id === '..' && !host.hasMiddleware) continue
          const { status, json } = await post(served, `/keks/${id}/${verb}`)
          expect([status, json.code]).toEqual([404, 'KEK_NOT_FOUND'])
        }
      },
    )

    it.each([
      { force: true },
      { reason: 'two\nlines' },
      { reason: 7 },
      { skip_instances: 'all' },
      { skip_instances: ['two words'], reason: 'x' },
      { skip_instances: ['x'.repeat(37)], reason: 'x' },
    ])('takes no body of %j', async (json) => {
      await using served = await serve(host, { vault: { current: 'v1', ...BOTH } })
      const answer = await post(served, '/keks/v2/promote', json)
      expect([answer.status, answer.json.code]).toEqual([400, 'INVALID_BODY'])
    })
  })

  describe('POST /keks/:id/suspend, resume and retire', () => {
    it('rehearses the removal of a KEK and then retires it, each step only when it is safe', async () => {
      const store = testStore()
      await seed(store)
      await using served = await serve(host, { store, vault: { current: 'v2' } })
      const early = await post(served, '/keks/v1/suspend')
      expect([early.status, early.json.code]).toEqual([409, 'TRANSITION_REFUSED'])
      expect(early.json.reasons).toEqual([expect.stringContaining('3 secrets')])
      const unsafe = await post(served, '/keks/v1/retire')
      expect([unsafe.status, unsafe.json.code]).toEqual([409, 'NOT_SAFE_TO_RETIRE'])
      expect(unsafe.json.reasons).toContainEqual(expect.stringContaining('3'))
      expect(unsafe.json.error.reasons).toEqual(unsafe.json.reasons)
      await rotated(served)

      const suspended = await post(served, '/keks/v1/suspend')
      expect(suspended.status).toBe(200)
      const states = async () =>
        (await served.ask('/kek-status')).json.keks.map(({ state }: { state: string }) => state)
      expect(await states()).toEqual(['suspended', 'current'])
      const resumed = await post(served, '/keks/v1/resume', {}, `"${suspended.json.epoch}"`)
      expect([resumed.status, resumed.json.epoch]).toEqual([200, suspended.json.epoch + 1])
      expect(await states()).toEqual(['decrypt-only', 'current'])
      const again = await post(served, '/keks/v1/resume')
      expect([again.status, again.json.code]).toEqual([409, 'TRANSITION_REFUSED'])

      const loss = 'no backup was made'
      const check = await served.ask(`/keks/v1/retirement?accept_loss_of_backups=${encodeURIComponent(loss)}`)
      expect(check.json).toMatchObject({ verdict: 'SAFE', reasons: [], kekId: 'v1', state: 'decrypt-only' })
      const retired = await post(served, '/keks/v1/retire', { accept_loss_of_backups: loss })
      expect(retired.status).toBe(200)
      for (const certificate of [check.json, retired.json])
        expect(Object.keys(certificate).sort()).toEqual([...certificateSchema.required].sort())
      expect(await states()).toEqual(['retired', 'current'])
      expect((await served.ask('/kek-status')).json.stale_counts).toEqual({})
    })

    it('tells why a KEK cannot be removed, and changes nothing', async () => {
      const store = testStore()
      await seed(store)
      await using served = await serve(host, { store, vault: { current: 'v2' } })
      const { status, json } = await served.ask('/keks/v1/retirement?min_epoch=99')
      expect([status, json.verdict]).toEqual([200, 'NOT_SAFE'])
      const codes = json.reasons.map(({ code }: { code: string }) => code)
      expect(codes).toEqual(
        expect.arrayContaining(['records_remain', 'epoch_went_back', 'escrow_not_recorded']),
      )
      const wrong = await served.ask('/keks/v1/retirement?min_epoch=x')
      expect([wrong.status, wrong.json.code]).toEqual([400, 'INVALID_QUERY'])
      const unknown = await served.ask('/keks/v9/retirement')
      expect([unknown.status, unknown.json.code]).toEqual([404, 'KEK_NOT_FOUND'])
    })
  })

  it('takes reasons that the audit keeps together, as long as they fit there', async () => {
    const store = testStore()
    await seed(store)
    await using served = await serve(host, { store, vault: { current: 'v2' } })
    const long = 'x'.repeat(600)
    const both = { accept_advisory: long, accept_loss_of_backups: long }
    const { status, json } = await post(served, '/keks/v1/retire', both)
    expect([status, json.code]).toEqual([400, 'INVALID_BODY'])
  })

  describe('Rule 10', () => {
    it('Rule 10: every change is in the audit trail before and after, with who asked and why', async () => {
      const store = testStore()
      await seed(store)
      await using served = await serve(host, { store, vault: { current: 'v2' } })
      await rotated(served)
      await post(served, '/', { name: 'new', value: 'secret', reason: 'ticket 7' })
      await served.ask('/new', { method: 'DELETE' })
      await served.ask('/new', { method: 'DELETE' })
      await post(served, '/keks/v1/suspend', { reason: 'rehearsal' })
      await post(served, '/keks/v1/retire', { reason: 'too early' })
      const { json } = await until(
        () => served.ask('/audit'),
        (answer) => answer.json.events[0]?.phase === 'failed',
      )
      const own = json.events.filter(({ actor }: { actor: string | null }) => actor === 'root').reverse()
      const seen = own.map(({ action, phase, reason }: Record<string, unknown>) => [action, phase, reason])
      expect(seen).toEqual([
        ['rotate', 'intent', null],
        ['rotate', 'done', null],
        ['put_secret', 'intent', 'ticket 7'],
        ['put_secret', 'done', 'ticket 7'],
        ['delete_secret', 'intent', null],
        ['delete_secret', 'done', null],
        ['delete_secret', 'intent', null],
        ['delete_secret', 'done', null],
        ['suspend', 'intent', 'rehearsal'],
        ['suspend', 'done', 'rehearsal'],
        ['retire', 'intent', 'too early'],
        ['retire', 'failed', 'too early'],
      ])
      const outcomes = own.filter(({ details }: { details: { name?: string } }) => details.name === 'new')
      expect(outcomes.map(({ details }: { details: { outcome?: string } }) => details.outcome)).toEqual([
        ...[undefined, 'created', undefined, 'deleted', undefined, 'missing'],
      ])
    })

    it('Rule 10: a destructive step is not begun when its intent cannot be kept', async () => {
      const store = testStore()
      await seed(store)
      await using served = await serve(host, { store, vault: { current: 'v2' } })
      await rotated(served)
      store.before = (method, [key]) => {
        if (method === 'writeDocument' && `${key}`.startsWith('audit')) throw new Error('the sink is full')
      }
      for (const verb of ['suspend', 'retire']) {
        const { status, json, headers } = await post(served, `/keks/v1/${verb}`)
        expect([status, json.code]).toEqual([503, 'AUDIT_UNAVAILABLE'])
        expect(headers['retry-after']).toMatch(/^[1-9]\d*$/)
      }
      expect((await served.ask('/kek-status')).json.keks[0]).toMatchObject({
        id: 'v1',
        state: 'decrypt-only',
      })
      const { secrets: before } = (await served.ask('/')).json
      for (const change of [
        () => post(served, '/', { name: 'new', value: 'secret' }),
        () => served.ask(`/?name=${encodeURIComponent(before[0].name)}`, { method: 'DELETE' }),
      ]) {
        const { status, json } = await change()
        expect([status, json.code]).toEqual([503, 'AUDIT_UNAVAILABLE'])
      }
      expect((await served.ask('/')).json.secrets).toEqual(before)
    })
  })
}

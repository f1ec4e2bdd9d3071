import { describe, expect, it } from 'vitest'
import type { Host } from '../support/hosts.ts'
import { type Served, serve, until } from '../support/served.ts'
import { seed, testStore } from '../support/test-vault.ts'

const SLOW = { rate_limit: 0.01 }
const UNKNOWN_ID = '01890a5d-ac96-774b-bcce-b302099a8057'

async function servedWithOld(host: Host): Promise<Served> {
  const store = testStore()
  await seed(store)
  return await serve(host, { store, vault: { current: 'v2' } })
}

async function begin(served: Served, json: unknown = {}): Promise<string> {
  const answer = await served.ask('/rotate-all', { method: 'POST', json })
  expect(answer.status).toBe(202)
  return answer.json.op_id
}

const act = (served: Served, id: string, verb: string, json: unknown = {}) =>
  served.ask(`/rotations/${id}/${verb}`, { method: 'POST', json })

function statusOf(served: Served, id: string, wanted: string) {
  return until(
    () => served.ask(`/rotation-status/${id}`),
    ({ json }) => json.status === wanted,
  )
}

/** Rotations as a list, and what an operator does to one. */
export function rotationsContract(host: Host): void {
  describe('GET /rotations', () => {
    it('lists rotations, newest first', async () => {
      await using served = await servedWithOld(host)
      expect((await served.ask('/rotations')).json).toEqual({ rotations: [] })
      const first = await begin(served, { dry_run: true })
      await statusOf(served, first, 'completed')
      const second = await begin(served)
      await statusOf(served, second, 'completed')
      const { json } = await served.ask('/rotations')
      expect(json.rotations.map(({ id }: { id: string }) => id)).toEqual([second, first])
      expect(json.rotations.map((row: { dry_run: boolean }) => row.dry_run)).toEqual([false, true])
      expect((await served.ask('/rotations?limit=1')).json.rotations).toEqual([json.rotations[0]])
    })

    it.each(['limit=0', 'limit=101', 'limit=x', 'limit=1&limit=1'])('refuses ?%s', async (query) => {
      await using served = await serve(host)
      const { status, json } = await served.ask(`/rotations?${query}`)
      expect([status, json.code]).toEqual([400, 'INVALID_QUERY'])
    })
  })

  describe('POST /rotations/:op_id/{pause,resume,cancel,retry-failed}', () => {
    it('pauses a rotation, goes on with it and ends it', async () => {
      await using served = await servedWithOld(host)
      const id = await begin(served, SLOW)
      const paused = await act(served, id, 'pause', { reason: 'the database is busy' })
      expect(paused.status).toBe(202)
      expect(paused.json).toEqual({ op_id: id, status: 'paused', status_url: `../../rotation-status/${id}` })
      expect(paused.headers.location).toBe(paused.json.status_url)
      const link = new URL(paused.json.status_url, `${served.url}/rotations/${id}/pause`).href
      const seen = await served.ask(link.slice(served.url.length))
      expect(seen.json).toMatchObject({ id, status: 'paused', paused_by: 'operator' })
      const resumed = await act(served, id, 'resume')
      expect([resumed.status, resumed.json.status]).toEqual([202, 'running'])
      const cancelled = await act(served, id, 'cancel')
      expect([cancelled.status, cancelled.json.status]).toEqual([202, 'cancelled'])
      expect((await begin(served)) === id).toBe(false)
    })

    it('looks once more at what could not be re-wrapped', async () => {
      const store = testStore()
      const [name = ''] = await seed(store)
      const [record] = await store.store.read([name])
      const { revision = 0 } = (await store.store.readDocument('keyring')) ?? {}
      if (record == null) throw new Error('nothing was stored')
      await store.store.write(revision, [{ kind: 'delete', name, expectedWrap: record.wrap }])
      await store.store.write(revision, [{ kind: 'create', secret: { ...record, meta: 'spoilt' } }])
      await using served = await serve(host, { store, vault: { current: 'v2' } })
      const id = await begin(served)
      const failed = await statusOf(served, id, 'failed')
      expect(failed.json.stats).toMatchObject({ rotated: 2, failed: 1 })
      expect(failed.json.failures).toEqual([
        {
          name,
          reason: 'metadata_damaged',
          key_id: 'v1',
          digest: expect.stringMatching(/^[0-9a-f]{32}$/),
          source: null,
        },
      ])
      expect((await served.ask(`/?name=${encodeURIComponent(name)}`, { method: 'DELETE' })).status).toBe(200)
      const again = await act(served, id, 'retry-failed')
      expect([again.status, again.json.status]).toEqual([202, 'running'])
      await statusOf(served, id, 'completed')
    })

    it.each(['pause', 'resume', 'cancel', 'retry-failed'])(
      'says of what is completed that it does not %s',
      async (verb) => {
        await using served = await servedWithOld(host)
        const id = await begin(served)
        await statusOf(served, id, 'completed')
        const { status, json } = await act(served, id, verb)
        expect([status, json.code, json.op_id, json.op_status]).toEqual([
          409,
          'ROTATION_STATE',
          id,
          'completed',
        ])
      },
    )

    it.each([UNKNOWN_ID, 'unknown', '%00'])('knows no rotation %s', async (id) => {
      await using served = await serve(host)
      const { status, json } = await act(served, id, 'pause')
      expect([status, json.code]).toEqual([404, 'ROTATION_NOT_FOUND'])
    })

    it('takes a reason and nothing else', async () => {
      await using served = await servedWithOld(host)
      const id = await begin(served, SLOW)
      for (const json of [{ force: true }, { reason: 'a\u202eb' }, { reason: 'x'.repeat(1_025) }, []]) {
        const answer = await act(served, id, 'pause', json)
        expect([answer.status, answer.json.code]).toEqual([400, 'INVALID_BODY'])
      }
    })
  })

  it('50 calls of rotate-all at once begin one rotation, which all of them name', async () => {
    await using served = await servedWithOld(host)
    const calls = await Promise.all(
      Array.from({ length: 50 }, () => served.ask('/rotate-all', { method: 'POST', json: SLOW })),
    )
    const statuses = calls.map(({ status }) => status).sort()
    expect(statuses).toEqual([202, ...Array.from({ length: 49 }, () => 409)])
    expect(new Set(calls.map(({ json }) => json.op_id)).size).toBe(1)
    const codes = new Set(calls.filter(({ status }) => status === 409).map(({ json }) => json.error.code))
    expect([...codes]).toEqual(['ROTATION_ALREADY_RUNNING'])
    expect((await served.ask('/rotations')).json.rotations).toHaveLength(1)
  })
}

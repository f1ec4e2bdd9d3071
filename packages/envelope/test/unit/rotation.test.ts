import type {
  RotationFailure,
  RotationOperation,
  RotationTotals,
  SecretStore,
  SecretVault,
} from '@talos/envelope'
import { interceptStore } from '@talos/envelope/testing'
import { afterEach, describe, expect, test } from 'vitest'
import {
  BOTH_WISH_V2,
  finished,
  keys,
  mortal,
  ONLY_V1,
  ONLY_V2,
  outcomeUnknown,
  type TestDomain,
  testDomain,
  unavailable,
  V1,
  V2,
  V3,
  wrapOf,
} from '../support/vaults.ts'

const open: SecretVault[] = []
afterEach(async () => {
  for (const vault of open.splice(0)) await vault.close()
})
const kept = (vault: SecretVault): SecretVault => {
  open.push(vault)
  return vault
}

/** A domain with secrets `s0`, `s1` … under v1, their values equal to their names. */
async function seeded(count: number): Promise<TestDomain> {
  const domain = testDomain()
  const vault = await domain.open(ONLY_V1)
  for (let index = 0; index < count; index += 1) await vault.put(`s${index}`, `s${index}`)
  await vault.close()
  domain.events.length = 0
  return domain
}

/** W7: the parts add up. */
function expectHonest({ totals }: RotationOperation): void {
  const { scanned, ...parts } = totals
  expect(scanned).toBe(Object.values(parts).reduce((sum, part) => sum + part, 0))
}

async function staleCount(store: SecretStore): Promise<number> {
  return (await store.census()).get('v1') ?? 0
}

async function expectAllReadable(vault: SecretVault, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1)
    expect((await vault.get(`s${index}`))?.text()).toBe(`s${index}`)
}

async function failuresOf(vault: SecretVault, id: string): Promise<RotationFailure[]> {
  const failures: RotationFailure[] = []
  for await (const failure of vault.rotations.failures(id)) failures.push(failure)
  return failures.sort((a, b) => (a.name < b.name ? -1 : 1))
}

describe('a rotation', () => {
  test('re-wraps every stale secret, changes nothing but wrap text and rewrappedAt, and ends after an empty pass', async () => {
    const domain = await seeded(700)
    const before = await domain.store.read(['s0', 's699'])
    const vault = kept(await domain.open(BOTH_WISH_V2))
    await vault.put('fresh', 'x')
    const { id, started } = await vault.rotate()
    expect(started).toBe(true)
    const operation = await finished(domain, vault, id)
    const totals = { scanned: 700, rewrapped: 700, alreadyCurrent: 0, changed: 0, deleted: 0, failed: 0 }
    expect(operation).toMatchObject({
      status: 'completed',
      targetKekId: 'v2',
      totals,
      pass: 2,
      workers: [],
      lastError: null,
    })
    expect(await domain.store.census()).toEqual(new Map([['v2', 701]]))
    const after = await domain.store.read(['s0', 's699'])
    for (const [index, record] of after.entries()) {
      const old = before[index]
      expect(record?.sealed).toEqual(old?.sealed)
      const rewrappedAt = expect.stringMatching(/^2030-/)
      expect(JSON.parse(record?.meta ?? '')).toEqual({ ...JSON.parse(old?.meta ?? ''), rewrappedAt })
      expect(record?.wrap).not.toBe(old?.wrap)
    }
    await vault.close()
    await expectAllReadable(kept(await domain.open(ONLY_V2)), 700)
  })

  test('keeps the caller context of each record: it is checked, and needed to read afterwards', async () => {
    const domain = await seeded(0)
    const vault = kept(await domain.open(ONLY_V1))
    await vault.put('a', 'x', { context: { tenant: 'acme' } })
    await vault.close()
    const next = kept(await domain.open(BOTH_WISH_V2))
    const { id } = await next.rotate()
    expect((await finished(domain, next, id)).status).toBe('completed')
    expect((await next.get('a', { context: { tenant: 'acme' } }))?.kekId).toBe('v2')
    await expect(next.get('a')).rejects.toMatchObject({ reason: 'commitment_mismatch' })
  })

  test('of nothing completes at once, and the next one has its own id', async () => {
    const domain = testDomain()
    const vault = kept(await domain.open(ONLY_V1))
    const first = await vault.rotate()
    const operation = await finished(domain, vault, first.id)
    expect(operation).toMatchObject({ status: 'completed', totals: { scanned: 0 }, pass: 1 })
    const second = await vault.rotate()
    expect(second.started).toBe(true)
    expect(second.id > first.id).toBe(true)
    expect((await finished(domain, vault, second.id)).status).toBe('completed')
    expect((await vault.rotations.get(first.id))?.status).toBe('completed')
    expect(await vault.rotations.get('01a2061b-8987-70aa-a721-481657fa21cc')).toBeNull()
    expect(await vault.rotations.get('../keyring')).toBeNull()
  })

  test('F2: of 40 parallel starts in 4 processes one begins, the others get its id', async () => {
    const domain = await seeded(300)
    const vaults = await Promise.all([0, 1, 2, 3].map(() => domain.open(BOTH_WISH_V2)))
    vaults.forEach(kept)
    const results = await Promise.all(
      Array.from({ length: 40 }, (_, index) => vaults[index % 4]?.rotate({ ratePerSecond: 50 })),
    )
    expect(results.filter((result) => result?.started)).toHaveLength(1)
    expect(new Set(results.map((result) => result?.id)).size).toBe(1)
  })

  test('ratePerSecond holds within and over the seconds', async () => {
    const domain = await seeded(500)
    const vault = kept(await domain.open(BOTH_WISH_V2))
    const { id } = await vault.rotate({ ratePerSecond: 100 })
    const seen: number[] = []
    for (let second = 0; second < 4; second += 1) {
      await domain.clock.advance(1_000)
      seen.push((await vault.rotations.get(id))?.totals.rewrapped ?? 0)
    }
    for (const [second, count] of seen.entries()) {
      expect(count).toBeGreaterThanOrEqual(second * 100)
      expect(count).toBeLessThanOrEqual((second + 1) * 100 + 25)
    }
    expect((await finished(domain, vault, id)).status).toBe('completed')
  })

  test('a rate of one secret in 20 seconds does not look like a dead worker', async () => {
    const domain = await seeded(3)
    const vault = kept(await domain.open(BOTH_WISH_V2))
    kept(await domain.open(BOTH_WISH_V2))
    const { id } = await vault.rotate({ ratePerSecond: 0.05 })
    for (let step = 0; step < 8; step += 1) {
      await domain.clock.advance(5_000)
      const operation = await vault.rotations.get(id)
      if (operation?.status === 'running') expect(operation.workers).toEqual([vault.instanceId])
    }
    expect((await finished(domain, vault, id)).totals.rewrapped).toBe(3)
  })
})

describe('races', () => {
  test('F3, W1: a value updated between the read and the write of its page keeps the update and counts as changed', async () => {
    const domain = await seeded(10)
    const other = kept(await domain.open(BOTH_WISH_V2))
    let raced = false
    const store = interceptStore(domain.store, async (call) => {
      if (call.method === 'write' && !raced) {
        raced = true
        await other.put('s3', 'updated by hand')
      }
      return await call.proceed()
    })
    const vault = kept(await domain.open(BOTH_WISH_V2, { store }))
    const { id } = await vault.rotate()
    const operation = await finished(domain, vault, id)
    expect(operation).toMatchObject({
      status: 'completed',
      totals: { scanned: 10, rewrapped: 9, changed: 1 },
    })
    expectHonest(operation)
    expect((await vault.get('s3'))?.text()).toBe('updated by hand')
  })

  test('F4, W3: a secret deleted, or deleted and made anew, during its rewrap is not brought back', async () => {
    const domain = await seeded(10)
    const other = kept(await domain.open(BOTH_WISH_V2))
    let raced = false
    const store = interceptStore(domain.store, async (call) => {
      if (call.method === 'write' && !raced) {
        raced = true
        await other.delete('s3')
        await other.delete('s4')
        await other.put('s4', 'another life')
      }
      return await call.proceed()
    })
    const vault = kept(await domain.open(BOTH_WISH_V2, { store }))
    const { id } = await vault.rotate()
    const operation = await finished(domain, vault, id)
    expect(operation).toMatchObject({
      status: 'completed',
      totals: { scanned: 10, rewrapped: 8, changed: 1, deleted: 1 },
    })
    expect(await vault.get('s3')).toBeNull()
    expect((await vault.get('s4'))?.text()).toBe('another life')
    expect((await vault.get('s4'))?.version).toBe(1)
  })

  test('a promotion in the middle ends the operation, counted honestly; the next one finishes the job', async () => {
    const domain = await seeded(60)
    const vault = kept(await domain.open(BOTH_WISH_V2))
    const { id } = await vault.rotate({ ratePerSecond: 40 })
    await domain.clock.advance(500)
    await vault.close()
    const third = kept(await domain.open(keys('v3', { v1: V1, v2: V2, v3: V3 })))
    const operation = await finished(domain, third, id)
    expect(operation).toMatchObject({ status: 'failed', lastError: { code: 'ERR_PROMOTION_BLOCKED' } })
    expectHonest(operation)
    const next = await third.rotate()
    expect(await finished(domain, third, next.id)).toMatchObject({ status: 'completed', targetKekId: 'v3' })
    expect(await domain.store.census()).toEqual(new Map([['v3', 60]]))
    await expectAllReadable(third, 60)
  })
})

describe('a promotion that is pending', () => {
  test('makes the operation wait and say for whom; it finishes by itself after the last instance has the KEK', async () => {
    const domain = await seeded(20)
    const old = await domain.open(ONLY_V1, { process: 'old/1' })
    const next = kept(await domain.open(BOTH_WISH_V2, { process: 'new/2' }))
    const { id, started } = await next.rotate()
    expect(started).toBe(true)
    await domain.clock.advance(30_000)
    const waiting = await next.rotations.get(id)
    expect(waiting).toMatchObject({ status: 'running', targetKekId: 'v2', totals: { scanned: 0 } })
    expect(waiting?.waitingFor).toMatchObject([{ process: 'old/1', reason: 'kek_missing' }])
    expect((await next.status()).staleCounts).toEqual({ v1: 20 })
    await old.close()
    const restarted = kept(await domain.open(BOTH_WISH_V2, { process: 'old/3' }))
    const operation = await finished(domain, restarted, id)
    expect(operation).toMatchObject({ status: 'completed', totals: { rewrapped: 20 }, waitingFor: [] })
    expect((await next.status()).staleCounts).toEqual({ v1: 0 })
  })

  test('asked of an instance that has not followed yet, the rotation goes towards the pending KEK all the same', async () => {
    const domain = await seeded(5)
    const old = kept(await domain.open(ONLY_V1, { process: 'old/1' }))
    kept(await domain.open(BOTH_WISH_V2, { process: 'new/2' }))
    const { id } = await old.rotate()
    expect(await old.rotations.get(id)).toMatchObject({ status: 'running', targetKekId: 'v2' })
    await domain.clock.advance(20_000)
    expect(await old.rotations.get(id)).toMatchObject({ status: 'running' })
  })

  test('an operation whose KEK nobody wishes any more ends with the reason instead of waiting for ever', async () => {
    const domain = await seeded(5)
    const old = kept(await domain.open(ONLY_V1, { process: 'old/1' }))
    const mistaken = await domain.open(keys('v9', { v1: V1, v9: V3 }), { process: 'bad/2' })
    const { id } = await mistaken.rotate()
    await mistaken.close()
    const operation = await finished(domain, old, id)
    expect(operation).toMatchObject({ status: 'failed', lastError: { code: 'ERR_PROMOTION_BLOCKED' } })
    expect(operation.lastError?.message).toContain('"v9"')
    expect(await staleCount(domain.store)).toBe(5)
  })
})

describe('records and KEKs that are not as they should be', () => {
  async function spoil(domain: TestDomain): Promise<void> {
    const document = await domain.store.readDocument('keyring')
    const revision = document?.revision ?? 0
    const damage = async (
      name: string,
      change: { wrap?: (wrap: string) => string; meta?: string },
    ): Promise<void> => {
      const [record] = await domain.store.read([name])
      if (!record) throw new Error('no such record')
      const wrap = change.wrap?.(record.wrap) ?? record.wrap
      const secret = { ...record, wrap, meta: change.meta ?? record.meta }
      await domain.store.write(revision, [{ kind: 'delete', expectedWrap: record.wrap, name }])
      await domain.store.write(revision, [{ kind: 'create', secret }])
    }
    const [foreign] = await domain.store.read(['s9'])
    await damage('s1', { meta: 'not json' })
    await damage('s2', { wrap: (wrap) => `${wrap.slice(0, -4)}AAAA` })
    await damage('s3', { wrap: () => foreign?.wrap ?? '' })
    await damage('s4', { wrap: (wrap) => wrap.replace('talos:v2:v1:', 'talos:v2:never-seen:') })
    await damage('s5', { wrap: (wrap) => `${wrap}A` })
  }

  test('F24: five records spoiled five ways are listed with their reasons, all others are re-wrapped', async () => {
    const domain = await seeded(30)
    await spoil(domain)
    const vault = kept(await domain.open(BOTH_WISH_V2))
    const { id } = await vault.rotate()
    const operation = await finished(domain, vault, id)
    expect(operation).toMatchObject({ status: 'failed', totals: { scanned: 30, rewrapped: 25, failed: 5 } })
    expectHonest(operation)
    const listed = await failuresOf(vault, id)
    expect(listed.map(({ name, reason, kekId }) => ({ name, reason, kekId }))).toEqual([
      { name: 's1', reason: 'metadata_damaged', kekId: 'v1' },
      { name: 's2', reason: 'wrap_corrupt', kekId: 'v1' },
      { name: 's3', reason: 'commitment_mismatch', kekId: 'v1' },
      { name: 's4', reason: 'kek_unknown', kekId: 'never-seen' },
      { name: 's5', reason: 'malformed', kekId: 'v1' },
    ])
    const before = await Promise.all(
      Array.from({ length: 30 }, (_, index) => wrapOf(domain.store, `s${index}`)),
    )
    const again = await vault.rotate()
    const second = await finished(domain, vault, again.id)
    expect(second).toMatchObject({ status: 'failed', totals: { scanned: 5, rewrapped: 0, failed: 5 } })
    const after = await Promise.all(
      Array.from({ length: 30 }, (_, index) => wrapOf(domain.store, `s${index}`)),
    )
    expect(after).toEqual(before)
    expect(await failuresOf(vault, id)).toHaveLength(5)
  })

  test('a KEK that is missing stops the operation and names the id; with it back a new one finishes', async () => {
    const domain = await seeded(10)
    const partial = kept(await domain.open(ONLY_V2))
    const { id } = await partial.rotate()
    const stopped = await finished(domain, partial, id)
    expect(stopped).toMatchObject({
      status: 'failed',
      totals: { scanned: 0, failed: 0 },
      lastError: { code: 'ERR_KEK_NOT_LOADED' },
    })
    expect(stopped.lastError?.message).toContain('"v1"')
    expect(await staleCount(domain.store)).toBe(10)
    await partial.close()
    const whole = kept(await domain.open(BOTH_WISH_V2))
    const next = await whole.rotate()
    expect(await finished(domain, whole, next.id)).toMatchObject({
      status: 'completed',
      totals: { rewrapped: 10 },
    })
  })

  test('an instance that alone lacks a KEK leaves the operation to one that holds it', async () => {
    const domain = await seeded(30)
    const partial = kept(await domain.open(ONLY_V2, { process: 'partial/1' }))
    const whole = kept(await domain.open(BOTH_WISH_V2, { process: 'whole/2' }))
    const { id } = await partial.rotate()
    const operation = await finished(domain, partial, id)
    expect(operation).toMatchObject({ status: 'completed', totals: { rewrapped: 30, failed: 0 } })
    expect(whole.ready).toBe(true)
  })
})

describe('faults and restarts', () => {
  test('an outage is waited out and never held against a record', async () => {
    const domain = await seeded(600)
    let outage = 0
    const store = interceptStore(domain.store, async (call) => {
      if (outage > 0) {
        outage -= 1
        throw unavailable()
      }
      return await call.proceed()
    })
    const vault = kept(await domain.open(BOTH_WISH_V2, { store }))
    const { id } = await vault.rotate({ ratePerSecond: 400 })
    outage = 12
    await domain.clock.advance(60_000)
    const operation = await vault.rotations.get(id)
    expect(operation).toMatchObject({
      status: 'completed',
      totals: { scanned: 600, rewrapped: 600, failed: 0 },
    })
    expect(domain.events).toContainEqual(
      expect.objectContaining({ type: 'fault', code: 'ERR_STORE_UNAVAILABLE' }),
    )
  })

  test('answers cut after the write count what was written', async () => {
    const domain = await seeded(600)
    let writes = 0
    let cutting = false
    const store = interceptStore(domain.store, async (call) => {
      const answer = await call.proceed()
      const isWrite = call.method === 'write' || call.method === 'writeDocument'
      if (cutting && isWrite && writes++ % 2 === 1) throw outcomeUnknown()
      return answer
    })
    const cut = kept(await domain.open(BOTH_WISH_V2, { store }))
    cutting = true
    const id = await cut.rotate().then(
      (result) => result.id,
      async () => (await cut.rotate()).id,
    )
    const operation = await finished(domain, cut, id)
    expect(operation).toMatchObject({
      status: 'completed',
      totals: { scanned: 600, rewrapped: 600, changed: 0 },
    })
  })

  test('close() saves the progress and frees the operation; the next process goes on at once', async () => {
    const domain = await seeded(100)
    const first = await domain.open(BOTH_WISH_V2)
    const { id } = await first.rotate({ ratePerSecond: 40 })
    await domain.clock.advance(1_000)
    await first.close()
    const second = kept(await domain.open(BOTH_WISH_V2))
    await domain.clock.settle()
    const resumed = await second.rotations.get(id)
    expect(resumed).toMatchObject({ status: 'running', workers: [second.instanceId] })
    const done = resumed?.totals.rewrapped ?? 0
    expect(done).toBeGreaterThan(0)
    expect(done).toBeLessThan(100)
    expect(await finished(domain, second, id)).toMatchObject({
      status: 'completed',
      totals: { rewrapped: 100 },
    })
  })

  test('a running process takes over from a closed one within a heartbeat, from a killed one within its lease more', async () => {
    const domain = await seeded(400)
    const process = mortal(domain.store)
    const killed = await domain.open(BOTH_WISH_V2, { store: process.store })
    const closed = await domain.open(BOTH_WISH_V2)
    const last = kept(await domain.open(BOTH_WISH_V2))
    const { id } = await closed.rotate({ ratePerSecond: 4 })
    await domain.clock.advance(1_000)
    expect((await last.rotations.get(id))?.workers).toEqual([closed.instanceId])
    await closed.close()
    await domain.clock.advance(5_000)
    const [second] = (await last.rotations.get(id))?.workers ?? []
    expect([killed.instanceId, last.instanceId]).toContain(second)
    if (second === last.instanceId) return
    process.kill()
    await domain.clock.advance(14_000)
    expect((await last.rotations.get(id))?.workers).toEqual([killed.instanceId])
    await domain.clock.advance(6_500)
    expect((await last.rotations.get(id))?.workers).toEqual([last.instanceId])
  })

  test('F1, W1, W4, W7: killed before and after every store call of a rotation, it is finished by the next process', async () => {
    const count = 25
    const clean = await seeded(count)
    const counting = mortal(clean.store)
    const undisturbed = kept(await clean.open(BOTH_WISH_V2, { store: counting.store }))
    counting.dieAt(Number.POSITIVE_INFINITY, 'before')
    const { id } = await undisturbed.rotate({ ratePerSecond: 40 })
    await finished(clean, undisturbed, id)
    const calls = counting.calls()
    let kills = 0
    for (let call = 1; call <= calls; call += 1) {
      for (const when of ['before', 'after'] as const) {
        const domain = await seeded(count)
        const process = mortal(domain.store)
        const doomed = await domain.open(BOTH_WISH_V2, { store: process.store })
        process.dieAt(call, when)
        void doomed.rotate({ ratePerSecond: 40 })
        for (let step = 0; step < 40 && !process.isDead(); step += 1) await domain.clock.advance(500)
        if (!process.isDead()) continue
        kills += 1
        const next = await domain.open(BOTH_WISH_V2)
        const operation = await finished(domain, next, (await next.rotate()).id)
        expect(operation.status, `killed ${when} call ${call}`).toBe('completed')
        expectHonest(operation)
        expect(await staleCount(domain.store)).toBe(0)
        await expectAllReadable(next, count)
        await next.close()
      }
    }
    console.log(`rotation: killed ${kills} times, before and after ${calls} store calls: 0 lost, 0 stuck`)
    expect(kills).toBeGreaterThan(2 * calls * 0.8)
  })

  test('F28: a deleted operation is only a hint lost: a fresh one finishes the job', async () => {
    const domain = await seeded(50)
    const vault = kept(await domain.open(BOTH_WISH_V2))
    const { id } = await vault.rotate({ ratePerSecond: 20 })
    await domain.clock.advance(1_000)
    const document = await domain.store.readDocument('rotation')
    if (document === null) throw new Error('no operation')
    await domain.store.writeDocument('rotation', document.revision, null)
    await domain.clock.advance(5_000)
    expect(await vault.rotations.get(id)).toBeNull()
    const next = await vault.rotate()
    expect(next.started).toBe(true)
    expect((await finished(domain, vault, next.id)).status).toBe('completed')
    expect(await staleCount(domain.store)).toBe(0)
  })

  test('totals never go back and always add up while an operation runs', async () => {
    const domain = await seeded(300)
    const vault = kept(await domain.open(BOTH_WISH_V2))
    const { id } = await vault.rotate({ ratePerSecond: 100 })
    let last: RotationTotals | null = null
    for (let step = 0; step < 12; step += 1) {
      await domain.clock.advance(250)
      const operation = await vault.rotations.get(id)
      if (operation === null) throw new Error('no operation')
      expectHonest(operation)
      expect(operation.totals.rewrapped).toBeGreaterThanOrEqual(last?.rewrapped ?? 0)
      last = operation.totals
    }
  })
})

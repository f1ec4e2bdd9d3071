import { type RotationOperation, type SecretVault, StoreError } from '@talos/envelope'
import { interceptStore } from '@talos/envelope/testing'
import { afterEach, describe, expect, test } from 'vitest'
import {
  BOTH_WISH_V1,
  BOTH_WISH_V2,
  finished,
  ONLY_V1,
  type TestDomain,
  testDomain,
  unavailable,
} from '../support/vaults.ts'

const open: SecretVault[] = []
afterEach(async () => {
  for (const vault of open.splice(0)) await vault.close()
})
const kept = (vault: SecretVault): SecretVault => {
  open.push(vault)
  return vault
}

async function seeded(count: number): Promise<TestDomain> {
  const domain = testDomain()
  const vault = await domain.open(ONLY_V1)
  for (let index = 0; index < count; index += 1) await vault.put(`s${index}`, `value ${index}`)
  await vault.close()
  domain.events.length = 0
  return domain
}

/** A rotation of 200 secrets at 40 a second, under way for two seconds. */
async function underWay(): Promise<{ domain: TestDomain; vault: SecretVault; id: string }> {
  const domain = await seeded(200)
  const vault = kept(await domain.open(BOTH_WISH_V2))
  const { id } = await vault.rotate({ ratePerSecond: 40 })
  await domain.clock.advance(2_000)
  return { domain, vault, id }
}

async function everything(domain: TestDomain): Promise<string> {
  const { items } = await domain.store.scan({ cursor: null, limit: 1_000 })
  const records = await Promise.all(items.map(({ name }) => domain.store.read([name])))
  return JSON.stringify(
    records.map(([record]) => ({ ...record, sealed: Buffer.from(record?.sealed ?? '').toString('hex') })),
  )
}

async function actionsOf(vault: SecretVault): Promise<string[]> {
  const { items } = await vault.auditEvents()
  return items.map(({ action, phase }) => `${action} ${phase}`).reverse()
}

describe('pause, resume, cancel', () => {
  test('a pause takes effect within a batch, and a resumed rotation goes on where it was', async () => {
    const { domain, vault, id } = await underWay()
    const paused = await vault.rotations.pause(id, { reason: 'lunch', actor: 'ann' })
    expect(paused).toMatchObject({ status: 'paused', pausedBy: 'operator', completedAt: null })
    await domain.clock.advance(1_000)
    const still = await everything(domain)
    const held = (await vault.rotations.get(id)) as RotationOperation
    expect(held.totals.rewrapped - paused.totals.rewrapped).toBeLessThanOrEqual(10)
    expect(held).toMatchObject({ workers: [], perSecond: 0, remainingMs: null })
    await domain.clock.advance(60_000)
    expect(await everything(domain)).toBe(still)
    expect((await vault.rotate()).started).toBe(false)
    expect(await vault.rotations.resume(id)).toMatchObject({ status: 'running', pausedBy: null })
    const operation = await finished(domain, vault, id)
    expect(operation).toMatchObject({ status: 'completed', totals: { scanned: 200, rewrapped: 200 } })
    expect((await actionsOf(vault)).filter((line) => line.includes('rotation'))).toEqual([
      'pause_rotation intent',
      'pause_rotation done',
      'resume_rotation intent',
      'resume_rotation done',
    ])
  })

  test('another instance may give the command', async () => {
    const { domain, vault, id } = await underWay()
    const other = kept(await domain.open(BOTH_WISH_V2))
    await other.rotations.pause(id)
    await domain.clock.advance(1_000)
    expect((await vault.rotations.get(id))?.workers).toEqual([])
    await other.rotations.resume(id)
    expect((await finished(domain, vault, id)).status).toBe('completed')
  })

  test('a cancelled rotation is over; the next one does the rest', async () => {
    const { domain, vault, id } = await underWay()
    const cancelled = await vault.rotations.cancel(id)
    expect(cancelled.status).toBe('cancelled')
    expect(cancelled.completedAt).not.toBeNull()
    await domain.clock.advance(1_000)
    const ended = (await vault.rotations.get(id)) as RotationOperation
    await domain.clock.advance(30_000)
    expect(await vault.rotations.get(id)).toEqual(ended)
    const next = await vault.rotate()
    expect(next.started).toBe(true)
    const operation = await finished(domain, vault, next.id)
    expect(operation.totals.rewrapped).toBe(200 - ended.totals.rewrapped)
    // The totals of the one before are still told.
    expect((await vault.rotations.get(id))?.totals).toEqual(ended.totals)
  })

  test('asking for what is so already changes nothing', async () => {
    const { vault, id } = await underWay()
    await vault.rotations.resume(id)
    await vault.rotations.pause(id)
    const paused = await vault.rotations.get(id)
    expect((await vault.rotations.pause(id)).updatedAt).toBe(paused?.updatedAt)
    await vault.rotations.cancel(id)
    expect((await vault.rotations.cancel(id)).status).toBe('cancelled')
  })

  test('a command that does not fit the status is refused and says which status it takes', async () => {
    const { domain, vault, id } = await underWay()
    const refused = { code: 'ERR_ROTATION_STATE', message: expect.stringContaining(id) }
    await expect(vault.rotations.retryFailed(id)).resolves.toMatchObject({ status: 'running' })
    await vault.rotations.cancel(id)
    for (const verb of ['pause', 'resume', 'retryFailed'] as const) {
      await expect(vault.rotations[verb](id)).rejects.toMatchObject(refused)
    }
    const next = await vault.rotate()
    await expect(vault.rotations.cancel(id)).rejects.toMatchObject({
      ...refused,
      message: expect.stringContaining('not the newest'),
    })
    await finished(domain, vault, next.id)
    await expect(vault.rotations.pause('01a2061b-8987-70aa-a721-481657fa21cc')).rejects.toMatchObject({
      code: 'ERR_ROTATION_UNKNOWN',
    })
    await expect(vault.rotations.pause(7 as unknown as string)).rejects.toThrow(TypeError)
  })
})

describe('retryFailed', () => {
  test('looks again at what failed once it was mended, with honest totals', async () => {
    const domain = await seeded(30)
    const [record] = await domain.store.read(['s7'])
    const good = record?.wrap ?? ''
    const bad = `${good.slice(0, -3)}${good.endsWith('AAA') ? 'BBB' : 'AAA'}`
    const { revision = 0 } = (await domain.store.readDocument('keyring')) ?? {}
    const swap = async (from: string, to: string, guard: number): Promise<void> => {
      const secret = { name: 's7', wrap: to, meta: record?.meta ?? '' }
      const outcome = await domain.store.write(guard, [{ kind: 'rewrap', expectedWrap: from, secret }])
      expect(outcome).toEqual(['done'])
    }
    await swap(good, bad, revision)
    const vault = kept(await domain.open(BOTH_WISH_V2))
    const { id } = await vault.rotate()
    expect(await finished(domain, vault, id)).toMatchObject({
      status: 'failed',
      totals: { scanned: 30, rewrapped: 29, failed: 1 },
      lastError: { code: 'ERR_DECRYPT_FAILED' },
    })
    expect((await vault.keks.checkRetirement('v1')).verdict).toBe('NOT_SAFE')
    await vault.rotations.retryFailed(id)
    expect(await finished(domain, vault, id)).toMatchObject({
      status: 'failed',
      totals: { scanned: 30, rewrapped: 29, failed: 1 },
    })
    await swap(bad, good, (await domain.store.readDocument('keyring'))?.revision ?? 0)
    await vault.rotations.retryFailed(id)
    expect(await finished(domain, vault, id)).toMatchObject({
      status: 'completed',
      totals: { scanned: 30, rewrapped: 30, failed: 0 },
      lastError: null,
    })
    const listed: unknown[] = []
    for await (const failure of vault.rotations.failures(id)) listed.push(failure)
    expect(listed).toEqual([])
    const events = domain.events.filter(({ type }) => type === 'quarantined')
    expect(events.length).toBeGreaterThan(0)
    expect(events[0]).toEqual({
      type: 'quarantined',
      operationId: id,
      kekId: 'v1',
      reason: expect.any(String),
    })
  })
})

describe('a dry run', () => {
  test('opens every stale secret and writes none', async () => {
    const domain = await seeded(250)
    const vault = kept(await domain.open(BOTH_WISH_V2))
    const before = await everything(domain)
    const { id } = await vault.rotate({ dryRun: true })
    const operation = await finished(domain, vault, id)
    expect(operation).toMatchObject({
      status: 'completed',
      dryRun: true,
      pass: 1,
      totals: { scanned: 250, rewrapped: 250 },
    })
    expect(await everything(domain)).toBe(before)
    expect((await vault.status()).staleCounts).toEqual({ v1: 250 })
  })

  test('finds a value that was altered, which a re-wrap does not look at', async () => {
    const domain = await seeded(5)
    const [record] = await domain.store.read(['s3'])
    const { revision = 0 } = (await domain.store.readDocument('keyring')) ?? {}
    const sealed = Uint8Array.from(record?.sealed ?? [])
    sealed[sealed.length - 1] = (sealed.at(-1) ?? 0) ^ 1
    // Twice, since a write under the same wrap text would be taken for a repetition.
    const secret = { name: 's3', wrap: record?.wrap ?? '', meta: record?.meta ?? '', sealed }
    await domain.store.write(revision, [{ kind: 'delete', expectedWrap: secret.wrap, name: 's3' }])
    expect(await domain.store.write(revision, [{ kind: 'create', secret }])).toEqual(['done'])
    const vault = kept(await domain.open(BOTH_WISH_V2))
    const { id } = await vault.rotate({ dryRun: true })
    expect(await finished(domain, vault, id)).toMatchObject({
      status: 'failed',
      totals: { scanned: 5, rewrapped: 4, failed: 1 },
    })
    const listed: unknown[] = []
    for await (const failure of vault.rotations.failures(id)) listed.push(failure)
    expect(listed).toEqual([
      {
        name: 's3',
        source: null,
        reason: 'payload_corrupt',
        kekId: 'v1',
        digest: expect.stringMatching(/^[0-9a-f]{32}$/),
      },
    ])
    // What the dry run finds blocks nothing, and the rotation itself moves the DEK all the same.
    const next = await vault.rotate()
    expect(await finished(domain, vault, next.id)).toMatchObject({
      status: 'completed',
      totals: { rewrapped: 5 },
    })
  })

  test('needs no promotion: the wished KEK is tried before the fleet has followed', async () => {
    const domain = await seeded(20)
    kept(await domain.open(ONLY_V1, { process: 'old/1' }))
    const vault = kept(await domain.open(BOTH_WISH_V2, { process: 'new/1' }))
    expect((await vault.status()).pending?.kekId).toBe('v2')
    const { id, waitingFor } = await vault.rotate({ dryRun: true })
    expect(waitingFor).toEqual([])
    expect(await finished(domain, vault, id)).toMatchObject({
      status: 'completed',
      targetKekId: 'v2',
      totals: { rewrapped: 20 },
    })
    expect((await vault.status()).currentKekId).toBe('v1')
  })
})

describe('outages', () => {
  test('of the store are waited out, however long, as long as it cannot even be noted', async () => {
    const domain = await seeded(50)
    const away = { now: false }
    const store = interceptStore(domain.store, async ({ proceed }) => {
      if (away.now) throw unavailable()
      return await proceed()
    })
    const vault = kept(await domain.open(BOTH_WISH_V2, { store }))
    const { id } = await vault.rotate({ ratePerSecond: 20, pauseAfterMs: 30_000 })
    await domain.clock.advance(1_000)
    away.now = true
    await domain.clock.advance(120_000)
    away.now = false
    expect((await finished(domain, vault, id)).status).toBe('completed')
  })

  test('pause the operation after a bound, with the reason; resumed, it goes on', async () => {
    const domain = await seeded(50)
    const away = { now: true }
    const store = interceptStore(domain.store, async ({ method, proceed }) => {
      if (away.now && method === 'scan') throw unavailable()
      return await proceed()
    })
    const vault = kept(await domain.open(BOTH_WISH_V2, { store }))
    const { id } = await vault.rotate({ pauseAfterMs: 30_000 })
    await domain.clock.advance(20_000)
    // The lease is kept meanwhile, where that is possible, and the reason shown.
    expect(await vault.rotations.get(id)).toMatchObject({
      status: 'running',
      workers: [vault.instanceId],
      lastError: { code: 'ERR_STORE_UNAVAILABLE' },
    })
    await domain.clock.advance(40_000)
    expect(await vault.rotations.get(id)).toMatchObject({
      status: 'paused',
      pausedBy: 'outage',
      lastError: { code: 'ERR_STORE_UNAVAILABLE' },
    })
    away.now = false
    await domain.clock.advance(60_000)
    expect((await vault.rotations.get(id))?.status).toBe('paused')
    await vault.rotations.resume(id)
    expect(await finished(domain, vault, id)).toMatchObject({
      status: 'completed',
      lastError: null,
      totals: { rewrapped: 50 },
    })
  })

  test('an error that nobody expected is told, and tried again with the next heartbeat only', async () => {
    const domain = await seeded(5)
    let scans = 0
    const store = interceptStore(domain.store, async ({ method, proceed }) => {
      if (method !== 'scan') return await proceed()
      scans += 1
      throw new Error('The test broke the driver.')
    })
    const vault = kept(await domain.open(BOTH_WISH_V2, { store }))
    await vault.rotate()
    await domain.clock.advance(4_000)
    expect(scans).toBe(1)
    await domain.clock.advance(20_000)
    expect(scans).toBeGreaterThan(2)
    expect(scans).toBeLessThan(8)
    const told = domain.events.filter(({ type }) => type === 'fault')
    expect(told[0]).toMatchObject({ during: 'rotation', code: 'unexpected' })
  })

  test('an error that no repetition mends ends the operation with its code', async () => {
    const domain = await seeded(5)
    const store = interceptStore(domain.store, async ({ method, proceed }) => {
      if (method === 'scan') throw new StoreError('ERR_STORE_DAMAGED', 'The test damaged the store.')
      return await proceed()
    })
    const vault = kept(await domain.open(BOTH_WISH_V2, { store }))
    const { id } = await vault.rotate()
    expect(await finished(domain, vault, id)).toMatchObject({
      status: 'failed',
      lastError: { code: 'ERR_STORE_DAMAGED' },
    })
  })
})

describe('looking at rotations', () => {
  test('follow yields every change up to the end', async () => {
    const { domain, vault, id } = await underWay()
    const seen: RotationOperation[] = []
    const following = (async () => {
      for await (const operation of vault.rotations.follow(id, { everyMs: 250 })) seen.push(operation)
    })()
    await finished(domain, vault, id)
    await domain.clock.advance(1_000)
    await following
    expect(seen.at(-1)?.status).toBe('completed')
    const done = seen.map(({ totals }) => totals.rewrapped)
    expect(done).toEqual([...done].sort((a, b) => a - b))
    expect(new Set(done).size).toBeGreaterThan(5)
  })

  test('follow of an unknown rotation, or beyond the end of the vault, says so', async () => {
    const { vault, id } = await underWay()
    const unknown = vault.rotations.follow('01a2061b-8987-70aa-a721-481657fa21cc')[Symbol.asyncIterator]()
    await expect(unknown.next()).rejects.toMatchObject({ code: 'ERR_ROTATION_UNKNOWN' })
    const following = vault.rotations.follow(id)[Symbol.asyncIterator]()
    await following.next()
    const refused = expect(following.next()).rejects.toMatchObject({ code: 'ERR_VAULT_CLOSED' })
    await vault.close()
    await refused
  })

  test('list shows the newest first, keeps a hundred and forgets what older ones failed on', async () => {
    const domain = await seeded(1)
    const vault = kept(await domain.open(BOTH_WISH_V1))
    const ids: string[] = []
    for (let count = 0; count < 104; count += 1) {
      const { id } = await vault.rotate()
      await finished(domain, vault, id)
      // Ids are ordered by milliseconds.
      await domain.clock.advance(1)
      ids.unshift(id)
    }
    const listed = await vault.rotations.list({ limit: 100 })
    expect(listed.map(({ id }) => id)).toEqual(ids.slice(0, 100))
    expect((await vault.rotations.list()).map(({ id }) => id)).toEqual(ids.slice(0, 20))
    expect(await vault.rotations.get(ids.at(-1) ?? '')).toBeNull()
    await expect(vault.rotations.list({ limit: 0 })).rejects.toThrow(TypeError)
  })
})

describe('what is told', () => {
  test('batches add up to the totals, and the last event carries the final status', async () => {
    const domain = await seeded(600)
    const vault = kept(await domain.open(BOTH_WISH_V2))
    const { id } = await vault.rotate()
    const operation = await finished(domain, vault, id)
    await domain.clock.settle()
    const batches = domain.events.filter((event) => event.type === 'rotation_batch')
    expect(batches.reduce((sum, { rewrapped }) => sum + rewrapped, 0)).toBe(operation.totals.rewrapped)
    expect(domain.events.filter((event) => event.type === 'rotation').at(-1)).toEqual({
      type: 'rotation',
      operationId: id,
      status: 'completed',
      pass: 2,
      targetKekId: 'v2',
      dryRun: false,
      scanned: 600,
      rewrapped: 600,
      failed: 0,
    })
  })

  test('a current KEK that is too old is due, once a day', async () => {
    const day = 86_400_000
    const domain = testDomain()
    const vault = kept(await domain.open(ONLY_V1, { rotationDueAfterMs: 2.5 * day }))
    const due = () => domain.events.filter((event) => event.type === 'rotation_due')
    for (let hour = 0; hour < 59; hour += 1) await domain.clock.advance(day / 24)
    expect(due()).toEqual([])
    for (let hour = 0; hour < 40; hour += 1) await domain.clock.advance(day / 24)
    expect(due()).toHaveLength(2)
    expect(due()[0]).toMatchObject({ kekId: 'v1' })
    expect(due()[0]?.ageMs).toBeGreaterThanOrEqual(2.5 * day)
    expect(vault.ready).toBe(true)
  })

  test('settings out of their bounds are a TypeError', async () => {
    const domain = testDomain()
    const vault = kept(await domain.open(ONLY_V1))
    for (const options of [
      { concurrency: 0 },
      { concurrency: 9 },
      { pauseAfterMs: -1 },
      { ratePerSecond: 0 },
    ]) {
      await expect(vault.rotate(options)).rejects.toThrow(TypeError)
    }
    await expect(vault.rotate({ dryRun: 'yes' as unknown as boolean })).rejects.toThrow(TypeError)
    await expect(domain.open(ONLY_V1, { rotationDueAfterMs: 0 })).rejects.toThrow(TypeError)
  })
})

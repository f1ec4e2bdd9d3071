import { isDeepStrictEqual } from 'node:util'
import {
  explicitKeys,
  type RotationFailure,
  type SecretStore,
  type SecretVault,
  StoreError,
} from '@talos/envelope'
import { interceptStore } from '@talos/envelope/testing'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type FakeKms, startFakeKms } from '../../packages/envelope/test/support/fake-kms.ts'
import { dividedStore } from './divided-store.ts'
import { KEKS, openInstance } from './instances.ts'
import { type Place, placeOn, type StoreName } from './places.ts'
import { numbered, overwrite, readOne, settled, unreadable, writeSome } from './some-secrets.ts'

const STORES: readonly StoreName[] = ['sqlite', 'postgres', 'redis']
const SECRETS = 400
const PAGE_SIZE = 10
const CONCURRENCY = 2
const NAMES = numbered('secret', SECRETS)

describe.each(STORES)('on %s', (name) => {
  test('another instance pauses a rotation within one batch of each lane, and resumes it', async () => {
    const { place, operator, worker, writes } = await halfWay(name, (vault, id) => vault.rotations.pause(id))
    const paused = await operator.rotations.get(worker.id)
    expect(paused).toMatchObject({ status: 'paused', pausedBy: 'operator' })
    await quiet(place.store, worker.id)
    const still = await place.dump()
    await heartbeats(place.store, worker.vault)
    expect(isDeepStrictEqual(await place.dump(), still)).toBe(true)
    const { before, after } = writes()
    expect(after).toBeLessThanOrEqual(CONCURRENCY)
    expect(paused?.totals.rewrapped).toBeLessThan(SECRETS)
    await operator.rotations.resume(worker.id)
    const ended = await settled(operator, worker.id)
    expect(ended).toMatchObject({ status: 'completed', pausedBy: null, workers: [] })
    expect(ended.totals).toMatchObject({ scanned: SECRETS, rewrapped: SECRETS })
    expect(await unreadable(worker.vault, NAMES)).toEqual([])
    console.log(`${name}: paused behind ${before} batches, ${after} in hand were still written`)
  })

  test('a cancelled rotation stays so, and the next one does the rest', async () => {
    const { place, operator, worker, writes } = await halfWay(name, (vault, id) => vault.rotations.cancel(id))
    expect((await settled(operator, worker.id)).status).toBe('cancelled')
    await quiet(place.store, worker.id)
    expect(writes().after).toBeLessThanOrEqual(CONCURRENCY)
    const census = await place.store.census()
    expect(census.get('v1')).toBeGreaterThan(0)
    expect(census.get('v2')).toBeGreaterThan(0)
    for (const verb of ['pause', 'resume', 'retryFailed'] as const) {
      const refusal = { code: 'ERR_ROTATION_STATE', message: expect.stringContaining('is cancelled') }
      await expect(operator.rotations[verb](worker.id)).rejects.toMatchObject(refusal)
    }
    expect((await operator.rotations.cancel(worker.id)).status).toBe('cancelled')
    expect(await unreadable(worker.vault, NAMES)).toEqual([])
    const next = await worker.vault.rotate()
    expect(next.id).not.toBe(worker.id)
    const ended = await settled(operator, next.id)
    expect(ended.status).toBe('completed')
    expect(ended.totals.rewrapped).toBe(census.get('v1'))
    expect(await place.store.census()).toEqual(new Map([['v2', SECRETS]]))
    expect((await operator.rotations.get(worker.id))?.status).toBe('cancelled')
  })

  test('a dry run writes nothing and finds a value that a re-wrap would never look at', async () => {
    const place = await filledPlace(name)
    const spoilt = NAMES[77] ?? ''
    const secret = await readOne(place.store, spoilt)
    const sealed = Uint8Array.from(secret.sealed)
    sealed[20] = (sealed[20] ?? 0) ^ 1
    await overwrite(place.store, { ...secret, sealed })
    let writes = 0
    const store = interceptStore(place.store, ({ method, proceed }) => {
      if (method === 'write') writes += 1
      return proceed()
    })
    const vault = await openInstance(dividedStore(store, { pageSize: PAGE_SIZE, shards: 4 }), ['v1', 'v2'])
    onTestFinished(() => vault.close())
    const before = await place.dump()
    const ended = await settled(vault, (await vault.rotate({ dryRun: true, concurrency: CONCURRENCY })).id)
    expect(ended).toMatchObject({ status: 'failed', dryRun: true })
    expect(ended.totals).toMatchObject({ scanned: SECRETS, rewrapped: SECRETS - 1, failed: 1 })
    const failures: RotationFailure[] = []
    for await (const failure of vault.rotations.failures(ended.id)) failures.push(failure)
    expect(failures).toMatchObject([{ name: spoilt, reason: 'payload_corrupt', kekId: 'v1', source: null }])
    expect(writes).toBe(0)
    expect(isDeepStrictEqual(await place.dump(), before)).toBe(true)

    const real = await settled(vault, (await vault.rotate()).id)
    expect(real.status).toBe('completed')
    expect(
      await unreadable(
        vault,
        NAMES.filter((each) => each !== spoilt),
      ),
    ).toEqual([])
  })

  test('an outage of the store that lasts pauses a rotation, which then waits for resume', async () => {
    const place = await filledPlace(name)
    let writes = 0
    let isAway = false
    const store = interceptStore(place.store, async ({ method, proceed }) => {
      if (method === 'write') writes += 1
      if (writes === 3) isAway = true
      if (isAway && method === 'write') throw away()
      return await proceed()
    })
    const vault = await openInstance(dividedStore(store, { pageSize: PAGE_SIZE, shards: 4 }), ['v1', 'v2'])
    onTestFinished(() => vault.close())
    const { id } = await vault.rotate({ pauseAfterMs: 300 })
    const paused = await settled(vault, id)
    expect(paused).toMatchObject({
      status: 'paused',
      pausedBy: 'outage',
      lastError: { code: 'ERR_STORE_UNAVAILABLE' },
    })
    expect(paused.totals.failed).toBe(0)
    isAway = false
    writes = Number.NEGATIVE_INFINITY
    await vault.rotations.resume(id)
    const ended = await settled(vault, id)
    expect(ended).toMatchObject({ status: 'completed', lastError: null })
    expect(ended.totals).toMatchObject({ scanned: SECRETS, rewrapped: SECRETS, failed: 0 })
    expect(await unreadable(vault, NAMES)).toEqual([])
  })
})

test('an outage of a key provider that lasts pauses a rotation and marks no record', async () => {
  const kms: FakeKms = await startFakeKms()
  onTestFinished(() => kms.close())
  const place = await filledPlace('sqlite')
  let isAway = false
  kms.disturb = () => (isAway ? 'outage' : null)
  const keys = explicitKeys({
    keks: { v1: Uint8Array.from(KEKS.v1), v2: kms.key('second') },
    currentKekId: 'v2',
  })
  let writes = 0
  const store = interceptStore(place.store, async ({ method, proceed }) => {
    if (method === 'write') writes += 1
    if (method === 'write' && writes === 3) isAway = true
    return await proceed()
  })
  const vault = await openInstance(dividedStore(store, { pageSize: PAGE_SIZE, shards: 1 }), [], { keys })
  onTestFinished(() => vault.close())
  const { id } = await vault.rotate({ pauseAfterMs: 300 })
  const paused = await settled(vault, id)
  expect(paused).toMatchObject({
    status: 'paused',
    pausedBy: 'outage',
    lastError: { code: 'ERR_KEY_PROVIDER_UNAVAILABLE' },
  })
  expect(paused.totals.failed).toBe(0)
  isAway = false
  writes = Number.NEGATIVE_INFINITY
  await vault.rotations.resume(id)
  const ended = await settled(vault, id)
  expect(ended).toMatchObject({ status: 'completed', lastError: null })
  expect(ended.totals).toMatchObject({ scanned: SECRETS, rewrapped: SECRETS, failed: 0 })
  expect(await unreadable(vault, NAMES)).toEqual([])
})

interface HalfWay {
  readonly place: Place
  /** An instance that looks on and commands. */
  readonly operator: SecretVault
  readonly worker: { readonly vault: SecretVault; readonly id: string }
  /** Batches begun before the command was answered, and after that. */
  readonly writes: () => { readonly before: number; readonly after: number }
}

/** A rotation at work, to which another instance has given a command in its middle. */
async function halfWay(
  name: StoreName,
  command: (operator: SecretVault, id: string) => Promise<unknown>,
): Promise<HalfWay> {
  const place = await filledPlace(name)
  const reached = Promise.withResolvers<void>()
  const commanded = Promise.withResolvers<void>()
  let before = 0
  let after = 0
  let isCommanded = false
  const store: SecretStore = interceptStore(place.store, async ({ method, proceed }) => {
    if (method !== 'write') return await proceed()
    if (isCommanded) after += 1
    else before += 1
    if (before === 10) {
      reached.resolve()
      await commanded.promise
    }
    return await proceed()
  })
  const vault = await openInstance(dividedStore(store, { pageSize: PAGE_SIZE, shards: 4 }), ['v1', 'v2'])
  onTestFinished(() => vault.close())
  const { id } = await vault.rotate({ concurrency: CONCURRENCY })
  await reached.promise
  // Without the target it commands only, and leaves the work to others.
  const operator = await openInstance(place.store, ['v1'], { fleet: 'observer' })
  onTestFinished(() => operator.close())
  await command(operator, id)
  isCommanded = true
  commanded.resolve()
  return { place, operator, worker: { vault, id }, writes: () => ({ before, after }) }
}

/** Waits until every shard of an operation has been given back. */
async function quiet(store: SecretStore, id: string): Promise<void> {
  const query = { prefix: `rotation-shard/${id}/`, cursor: null, limit: 100 }
  await until(async () => {
    const { items } = await store.listDocuments(query)
    return items.every(({ value }) => (JSON.parse(value) as { worker: string | null }).worker === null)
  })
}

/** Waits until an instance has had three heartbeats, with each of which it looks for work. */
async function heartbeats(store: SecretStore, { instanceId }: SecretVault): Promise<void> {
  const revision = async () => (await store.readDocument(`instance/${instanceId}`))?.revision ?? 0
  const before = await revision()
  await until(async () => (await revision()) >= before + 3)
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20))
}

async function filledPlace(name: StoreName): Promise<Place> {
  const place = await placeOn(name)
  onTestFinished(() => place.close())
  await writeSome(place.store, NAMES)
  return place
}

function away(): StoreError {
  return new StoreError('ERR_STORE_UNAVAILABLE', 'The test took the store away.', { retryable: true })
}

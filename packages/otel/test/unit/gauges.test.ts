import { MemoryStore, type SecretStore, StoreError, type VaultStatus } from '@talos/envelope'
import { heldClock, interceptStore } from '@talos/envelope/testing'
import { describe, expect, it } from 'vitest'
import { GAUGES } from '../../src/names.ts'
import { observations } from '../../src/observations.ts'
import type { Look } from '../../src/status-look.ts'
import { pointOf, testSdk } from '../support/sdk.ts'
import { keys, open } from '../support/vaults.ts'

const NOW = Date.UTC(2030, 0, 1)
const minutesAgo = (minutes: number): string => new Date(NOW - minutes * 60_000).toISOString()
const kek = { fingerprint: '0'.repeat(16), loaded: true }
const instance = { process: 'web/1', ageMs: 0, startedAt: null, epochSeen: 2, wishedKekId: 'v2', keks: {} }
const STATUS = {
  ready: true,
  reasons: [],
  namespace: 'gateway',
  instanceId: 'a',
  epoch: 2,
  currentKekId: 'v2',
  targetKekId: 'v2',
  wishedKekId: 'v2',
  pending: null,
  notices: [],
  loadedKekIds: ['v1', 'v2'],
  keks: [
    { ...kek, id: 'v0', state: 'retired', records: 0, promotedAt: minutesAgo(90), fencedAt: minutesAgo(60) },
    {
      ...kek,
      id: 'v1',
      state: 'decrypt-only',
      records: 5,
      promotedAt: minutesAgo(60),
      fencedAt: minutesAgo(10),
    },
    { ...kek, id: 'v2', state: 'current', records: 10_001, promotedAt: minutesAgo(10), fencedAt: null },
  ],
  staleCounts: { v1: 5, v9: 2 },
  counts: { level: 'strong', asOf: minutesAgo(0), records: 10_008, atLeast: ['v2'] },
  fleet: [
    { ...instance, instanceId: 'a', role: 'member', state: 'live', agrees: true },
    { ...instance, instanceId: 'b', role: 'member', state: 'live', agrees: false },
    { ...instance, instanceId: 'c', role: 'observer', state: 'live', agrees: false },
    { ...instance, instanceId: 'd', role: 'member', state: 'silent', agrees: false },
  ],
} as unknown as VaultStatus

function told(look: Partial<Look> = {}, toldKekIds = new Set<string>()): Record<string, number> {
  const all = observations({ status: STATUS, newestRotation: null, ...look }, NOW, toldKekIds)
  return Object.fromEntries(
    all.map(([gauge, value, attributes = {}]) => [[gauge, ...Object.values(attributes)].join(' '), value]),
  )
}

describe('the gauges of a look', () => {
  it('tell records, ages, the fleet and the rotation', () => {
    const newestRotation = { status: 'failed', totals: { failed: 3 } } as Look['newestRotation']
    expect(told({ newestRotation })).toEqual({
      'kekRecords v1': 5,
      'kekRecordsAtLeast v1': 0,
      'kekRecords v2': 10_001,
      'kekRecordsAtLeast v2': 1,
      'kekRecords v9': 2,
      'kekRecordsAtLeast v9': 0,
      staleRecords: 7,
      staleAge: 600,
      kekAge: 600,
      promotionPending: 0,
      promotionWaiting: 0,
      'instances live': 3,
      'instances silent': 1,
      disagreeing: 1,
      'rotationStatus running': 0,
      'rotationStatus paused': 0,
      'rotationStatus completed': 0,
      'rotationStatus failed': 1,
      'rotationStatus cancelled': 0,
      quarantined: 3,
    })
  })

  it('tell a KEK that has gone by 0, and count no age from a fence that nothing waits behind', () => {
    const toldKekIds = new Set<string>()
    told({}, toldKekIds)
    const [, , current] = STATUS.keks
    const later = { ...STATUS, keks: [current], staleCounts: {} } as VaultStatus
    expect(told({ status: later }, toldKekIds)).toMatchObject({
      'kekRecords v1': 0,
      'kekRecords v9': 0,
      staleAge: 0,
    })
  })

  it('tell a retired KEK once it has records again', () => {
    expect(told()).not.toHaveProperty('kekRecords v0')
    const [retired] = STATUS.keks
    const restored = { ...STATUS, keks: [{ ...retired, records: 4 }] } as VaultStatus
    expect(told({ status: restored })).toMatchObject({ 'kekRecords v0': 4, staleAge: 3600 })
  })

  it('tell a promotion that waits, and for how many', () => {
    const waitingFor = [{ instanceId: 'b' }, { instanceId: 'e' }] as never
    const status = { ...STATUS, pending: { kekId: 'v3', waitingFor } }
    expect(told({ status })).toMatchObject({ promotionPending: 1, promotionWaiting: 2 })
  })
})

/** A store that counts looks at it and can be taken away. */
function counting(): { readonly store: SecretStore; readonly looks: () => number; away: boolean } {
  let looks = 0
  const scene = {
    looks: () => looks,
    away: false,
    store: interceptStore(new MemoryStore({ level: 'strong' }), ({ method, proceed }) => {
      if (method === 'census') looks += 1
      if (scene.away) throw new StoreError('ERR_STORE_UNAVAILABLE', 'The test took the store away.')
      return proceed()
    }),
  }
  return scene
}

describe('a look', () => {
  it('is taken once for all gauges of a collection, and not again before its time', async () => {
    const { runtime, advance } = heldClock()
    const { store, looks } = counting()
    const sdk = testSdk()
    await open({ meterProvider: sdk.meterProvider, statusEveryMs: 10_000 }, { store, runtime })
    const before = looks()
    await Promise.all([sdk.collect(), sdk.collect(), sdk.collect()])
    await advance(9_999)
    expect(pointOf(await sdk.collect(), 'status.age')).toBe(9.999)
    expect(looks() - before).toBe(1)
    await advance(1)
    expect(pointOf(await sdk.collect(), 'status.age')).toBe(0)
    expect(looks() - before).toBe(2)
  })

  it('that fails is counted, and no gauge is told instead of a wrong one', async () => {
    const { runtime, advance } = heldClock()
    const scene = counting()
    const sdk = testSdk('delta')
    const vault = await open(
      { meterProvider: sdk.meterProvider, statusEveryMs: 1000 },
      { store: scene.store, runtime },
    )
    await vault.put('name', 'value')
    const failed = { 'error.type': 'ERR_STORE_UNAVAILABLE' }
    const before = await sdk.collect()
    const names = Object.values(GAUGES).map(({ name }) => name.replace('talos.envelope.', ''))
    const gauges = (collected: ReadonlyMap<string, unknown>) => names.filter((name) => collected.has(name))
    expect(pointOf(before, 'kek.records')).toBe(1)
    scene.away = true
    await advance(1000)
    const during = await sdk.collect()
    expect(gauges(during)).toEqual(['ready', 'status.age'])
    expect(pointOf(during, 'status.age')).toBe(1)
    await sdk.collect()
    scene.away = false
    await advance(1000)
    const after = await sdk.collect()
    expect(gauges(after)).toEqual(gauges(before))
    expect(pointOf(during, 'status.failures', failed) ?? pointOf(after, 'status.failures', failed)).toBe(1)
  })

  it('that fails leaves what a cumulative reader repeats recognisable by its age', async () => {
    const { runtime, advance } = heldClock()
    const scene = counting()
    const sdk = testSdk()
    const vault = await open(
      { meterProvider: sdk.meterProvider, statusEveryMs: 1000 },
      { store: scene.store, runtime },
    )
    await vault.put('name', 'value')
    await sdk.collect()
    scene.away = true
    await advance(300_000)
    const collected = await sdk.collect()
    expect(pointOf(collected, 'kek.records')).toBe(1)
    expect(pointOf(collected, 'status.age')).toBe(300)
  })

  it('that never succeeded tells nothing but whether the instance is ready', async () => {
    const scene = counting()
    const sdk = testSdk()
    await open({ meterProvider: sdk.meterProvider }, { store: scene.store, keys: keys('v1') })
    scene.away = true
    const collected = await sdk.collect()
    expect(
      Object.values(GAUGES).filter(({ name }) => collected.has(name.replace('talos.envelope.', ''))),
    ).toEqual([GAUGES.ready])
  })
})

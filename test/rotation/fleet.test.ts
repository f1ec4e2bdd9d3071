import { setTimeout as pause } from 'node:timers/promises'
import type { RotationOperation, RotationRunner } from '@talos/envelope'
import { expect, onTestFinished, test } from 'vitest'
import { database } from '../../packages/postgres/test/database.ts'
import { service } from '../services/service.ts'
import { kekTexts, LEASE_MS, openInstance } from './instances.ts'
import { sealedDigest, writeMany } from './many-secrets.ts'
import type { InstanceSettings } from './protocol.ts'
import { type Rotator, Rotators } from './rotators.ts'
import { numbered } from './some-secrets.ts'
import { Writer } from './writer.ts'

const SECRETS = 200_000
const HOT = 50
const UPDATES_PER_SECOND = 500
const PROCESSES = 4
const KILL_EVERY_MS = 2_000
/**
 * As a slow store would answer: with pages of a thousand at once there is hardly time to kill anybody, and four processes that
 * do nothing but compute leave a writer on the same two cores no time for 500 updates a second.
 */
const PAGE_SIZE = 100
const DELAY_MS = 30
const SAMPLE_EVERY = 100
/** Looks on and works on nothing. */
const NOBODY: RotationRunner = {
  start: async () => {},
  enqueue: async () => {},
  stop: async () => {},
}

test('four processes rotate 200,000 secrets, one killed every two seconds, beside a writer that loses nothing', async () => {
  const url = await service('postgres-18')
  const made = database(url)
  const store = await made.migrated()
  const still = numbered('still', SECRETS)
  const hot = numbered('hot', HOT)
  const first = await openInstance(store, ['v1'])
  await writeMany(made, still)
  for (const name of hot) await first.put(name, '0')
  await first.close()
  const before = await sealedDigest(made, 'still')

  const settings: InstanceSettings = {
    address: { kind: 'postgres', url, schema: made.schema },
    keks: kekTexts(),
    currentKekId: 'v2',
    leaseMs: LEASE_MS,
    pageSize: PAGE_SIZE,
    shards: 1,
  }
  const rotators = await Rotators.start('postgres', PROCESSES)
  onTestFinished(() => rotators.close())
  const join = async (): Promise<Rotator> => {
    const rotator = await rotators.take()
    rotator.give({
      ...settings,
      delayMs: DELAY_MS,
      act: 'work',
      operationId: null,
      ratePerSecond: null,
      death: null,
    })
    return rotator
  }
  const watcher = await openInstance(store, ['v1', 'v2'], { fleet: 'observer', runner: NOBODY })
  onTestFinished(() => watcher.close())
  // At work before the others come, who make another KEK current under it.
  const writer = await Writer.start({
    ...settings,
    currentKekId: 'v1',
    names: hot,
    perSecond: UPDATES_PER_SECOND,
  })
  const crowd = await Promise.all(Array.from({ length: PROCESSES }, () => join()))
  while ((await watcher.status()).currentKekId !== 'v2') await pause(50)
  const beganMs = performance.now()
  await watcher.rotate()
  let operation: RotationOperation | undefined
  let kills = 0
  let nextKillMs = beganMs + KILL_EVERY_MS
  const workers = new Set<string>()
  const shards = new Set<number>()
  do {
    await pause(50)
    ;[operation] = await watcher.rotations.list({ limit: 1 })
    for (const id of operation?.workers ?? []) workers.add(id)
    shards.add(operation?.shards.total ?? 0)
    if (performance.now() < nextKillMs) continue
    await crowd[kills % PROCESSES]?.kill()
    crowd[kills % PROCESSES] = await join()
    kills += 1
    nextKillMs = performance.now() + KILL_EVERY_MS
  } while (operation === undefined || operation.status === 'running')
  const seconds = (performance.now() - beganMs) / 1_000
  const written = await writer.stop()
  const { totals } = operation
  const { scanned, rewrapped, alreadyCurrent, changed, deleted, failed } = totals
  console.log(
    `200,000 secrets by ${PROCESSES} processes in ${seconds.toFixed(1)} s, ${Math.max(...shards)} shards, ${kills} kills, ` +
      `${workers.size} instances at work in all; ${written.updates} updates at ${Math.round(written.perSecond)} a second, ` +
      `${written.reads} reads, ${written.faults.length} lost or older; totals ${JSON.stringify(totals)}`,
  )
  expect(written.faults).toEqual([])
  expect(operation.status).toBe('completed')
  expect(scanned).toBe(rewrapped + alreadyCurrent + changed + deleted + failed)
  expect(failed + deleted).toBe(0)
  expect(rewrapped).toBeLessThanOrEqual(SECRETS + HOT)
  expect(kills).toBeGreaterThanOrEqual(3)
  expect(written.updates).toBeGreaterThan(HOT)
  expect(await store.census()).toEqual(new Map([['v2', SECRETS + HOT]]))
  expect(await sealedDigest(made, 'still')).toBe(before)
  const target = await openInstance(store, ['v2'], { fleet: 'none' })
  const last = await target.getMany(hot)
  expect(last.map((secret) => Number(secret?.text()))).toEqual(hot.map((name) => written.last[name]))
  const sample = still.filter((_, n) => n % SAMPLE_EVERY === 0)
  for (let from = 0; from < sample.length; from += 100) {
    const names = sample.slice(from, from + 100)
    expect((await target.getMany(names)).map((secret) => secret?.text())).toEqual(names)
  }
  await target.close()
}, 600_000)

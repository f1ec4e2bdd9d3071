import type { Outcome, SecretStore } from '@talos/envelope'
import type { PoolClient } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PostgresServer } from '../../../../test/services/postgres-server.ts'
import { npmPostgres } from '../../../../test/services/programs.ts'
import { creating, filled, until } from '../../../../test/stored-secrets.ts'
import { type Database, database } from '../database.ts'

/** A server of its own: whether a write makes a multixact can only be told where nobody else writes. */
let server: PostgresServer
beforeAll(async () => {
  server = await PostgresServer.start(npmPostgres())
})
afterAll(() => server.stop())

/** Writes in one transaction after another, each open for some time, until a write is fenced. Answers how many. */
async function writeUntilFenced(
  at: Database,
  client: PoolClient,
  writer: number,
  openMs: number,
): Promise<number> {
  const view = at.store().within(client)
  for (let n = 0; ; n += 1) {
    await client.query('BEGIN')
    const [outcome] = await view.write(1, [creating(`${writer}-${n}`)])
    await client.query('SELECT pg_sleep($1)', [openMs / 1_000])
    await client.query('COMMIT')
    if (outcome === 'fenced') return n
    expect(outcome).toBe('done')
  }
}

/** Puts one secret after another until an outcome is the last. Answers how many, and how long the longest put took. */
async function putUntil(
  store: SecretStore,
  isLast: (outcome: Outcome) => boolean,
): Promise<{ readonly puts: number; readonly longestMs: number }> {
  let longestMs = 0
  for (let puts = 1; ; puts += 1) {
    const began = performance.now()
    const [outcome] = await store.write(1, [creating(`put-${puts}`)])
    longestMs = Math.max(longestMs, performance.now() - began)
    if (isLast(outcome!)) return { puts, longestMs }
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Does something beside puts into another store, which no fence holds up: the longest tells how late the machine is. */
async function besidePuts<T>(
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly lateMs: number }> {
  const free = await database(server.url()).migrated()
  await filled(free, 0)
  let over = false
  const working = work().finally(() => {
    over = true
  })
  const [result, { longestMs }] = await Promise.all([working, putUntil(free, () => over)])
  return { result, lateMs: longestMs }
}

async function nextMultixact(at: Database): Promise<number> {
  const [row] = await at.run<{ age: number }>("SELECT mxid_age('1'::xid) AS age")
  return row!.age
}

test('16 connections that write without pause in transactions of 5 ms let a promotion through within 2 s, and make no multixact', async () => {
  const at = database(server.url())
  const store = await at.migrated()
  await filled(store, 0)
  const clients = await Promise.all(Array.from({ length: 16 }, () => at.client()))
  const multixact = await nextMultixact(at)
  const writers = clients.map((client, n) => writeUntilFenced(at, client, n, 5))
  await until(async () => ((await store.census()).get('v1') ?? 0) > 500)
  const { result: tookMs, lateMs } = await besidePuts(async () => {
    const began = performance.now()
    expect(await store.writeDocument('keyring', 1, '{"epoch":2}')).toBe(2)
    return performance.now() - began
  })
  const settled = await store.census()
  const written = (await Promise.all(writers)).reduce((sum, count) => sum + count, 0)
  expect(settled).toEqual(new Map([['v1', written]]))
  expect(await store.census()).toEqual(settled)
  expect(await nextMultixact(at)).toBe(multixact)
  console.log(`postgres: fence against 16 writers of 5 ms: ${tookMs.toFixed(0)} ms after ${written} writes`)
  expect(tookMs - lateMs).toBeLessThan(2_000)
})

test('four overlapping transactions of the application of 1 s let a promotion through within 15 s', async () => {
  const at = database(server.url())
  const store = await at.migrated()
  await filled(store, 0)
  const clients = await Promise.all(Array.from({ length: 4 }, () => at.client()))
  const writers: Promise<number>[] = []
  for (const [n, client] of clients.entries()) {
    writers.push(writeUntilFenced(at, client, n, 1_000))
    // Each begins when the one before has been open for a quarter of a second.
    await at.run('SELECT pg_sleep(0.25)')
  }
  const began = performance.now()
  expect(await store.writeDocument('keyring', 1, '{"epoch":2}')).toBe(2)
  const tookMs = performance.now() - began
  const settled = await store.census()
  await Promise.all(writers)
  expect(await store.census()).toEqual(settled)
  console.log(`postgres: fence against 4 overlapping transactions of 1 s: ${tookMs.toFixed(0)} ms`)
  expect(tookMs).toBeLessThan(15_000)
}, 30_000)

test('beside a transaction of the application of 10 s no put waits longer than maxWriteStallMs and 100 ms', async () => {
  const at = database(server.url())
  const store = await at.migrated()
  await filled(store, 0)
  const client = await at.client()
  await client.query('BEGIN')
  await store.within(client).write(1, [creating('inside')])
  const began = performance.now()
  const long = client.query('SELECT pg_sleep(10)').then(() => client.query('COMMIT'))
  const fence = store.writeDocument('keyring', 1, '{"epoch":2}')
  // The one that is fenced waited for nobody but the fence, and is repeated by a vault under the next KEK.
  const { result, lateMs } = await besidePuts(() => putUntil(store, (outcome) => outcome === 'fenced'))
  const { puts, longestMs } = result
  await long
  expect(await fence).toBe(2)
  console.log(
    `postgres: beside a transaction of 10 s: fence ${(performance.now() - began).toFixed(0)} ms, ${puts} puts, the longest ${longestMs.toFixed(0)} ms, of those into another store ${lateMs.toFixed(0)} ms`,
  )
  expect(longestMs - lateMs).toBeLessThan(2_100)
}, 40_000)

import { createPool, type Pool } from 'mysql2/promise'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { MariadbServer } from '../../../test/services/mariadb-server.ts'
import { mariadbStore } from '../mariadb-store.ts'
import { newDatabase } from './open.ts'
import { creates } from './records.ts'

vi.setConfig({ testTimeout: 60_000 })

let primary: MariadbServer
let replica: MariadbServer
const pools: Pool[] = []

beforeAll(async () => {
  primary = await MariadbServer.start({ 'server-id': '1', 'log-bin': 'binlog' })
  replica = await MariadbServer.start({ 'server-id': '2' })
}, 60_000)

afterAll(async () => {
  await Promise.all(pools.map((pool) => pool.end()))
  await replica?.stop()
  await primary?.stop()
})

function poolOf(server: MariadbServer, database: string): Pool {
  const pool = createPool({ uri: server.url(database), connectionLimit: 2 })
  pools.push(pool)
  return pool
}

test('refuses a replica, a read-only server, and takes a promoted replica for another incarnation', async () => {
  const follow = createPool({ uri: replica.url() })
  pools.push(follow)
  await follow.query(
    `CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = ${primary.port}, MASTER_USER = 'root',
      MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1`,
  )
  await follow.query('START SLAVE')
  const database = await newDatabase(primary.url())
  const store = mariadbStore({ pool: poolOf(primary, database) })
  await store.migrate()
  await store.writeDocument('keyring', 0, 'first')
  await store.write(1, creates(['a']))
  await vi.waitUntil(
    async () => {
      const found = follow.query(`SELECT name FROM ${database}.talos_secrets`)
      return await found.then(([rows]) => (rows as unknown[]).length === 1).catch(() => false)
    },
    { timeout: 20_000 },
  )

  const refused = { code: 'ERR_STORE_CONFIGURATION', retryable: false }
  const behind = mariadbStore({ pool: poolOf(replica, database) })
  await expect(behind.identify()).rejects.toMatchObject({
    ...refused,
    message: expect.stringContaining('replica'),
  })
  await expect(behind.read(['a'])).rejects.toMatchObject(refused)
  await expect(behind.census()).rejects.toMatchObject(refused)

  await follow.query('STOP SLAVE')
  await follow.query('RESET SLAVE ALL')
  const promoted = await behind.identify()
  expect(promoted.incarnation).not.toBe((await store.identify()).incarnation)
  await expect(behind.write(1, creates(['b']))).resolves.toEqual(['done'])

  await follow.query('SET GLOBAL read_only = 1')
  for (const call of [
    () => behind.identify(),
    () => behind.read(['a']),
    () => behind.read(['absent']),
    () => behind.census(),
    () => behind.readDocument('keyring'),
    () => behind.write(1, creates(['c'])),
    () => behind.writeDocument('keyring', 1, 'second'),
  ]) {
    await expect(call()).rejects.toMatchObject(refused)
  }
})

test('creators of the same names in opposite orders, or of neighbouring names, never end in a deadlock', async () => {
  const database = await newDatabase(primary.url())
  const pool = poolOf(primary, database)
  const store = mariadbStore({ pool })
  const other = mariadbStore({ pool: poolOf(primary, database) })
  await store.migrate()
  await store.writeDocument('keyring', 0, 'first')
  const deadlocks = async () => {
    const [rows] = await pool.query("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")
    return Number((rows as { Value: string }[])[0]?.Value)
  }
  const before = await deadlocks()
  for (let turn = 0; turn < 20; turn++) {
    const names = Array.from({ length: 100 }, (_, index) => `${turn}/${index}`)
    const same = creates(names)
    const [one, two] = await Promise.all([store.write(1, same), other.write(1, same.toReversed())])
    expect([...one, ...two].toSorted()).toEqual([...names.map(() => 'already'), ...names.map(() => 'done')])
    const [odd, even] = ['odd', 'even'].map((kind) =>
      creates(names.map((name) => `neighbour/${name}/${kind}`)),
    )
    const both = await Promise.all([store.write(1, odd ?? []), other.write(1, even ?? [])])
    expect(both.flat()).toEqual([...names, ...names].map(() => 'done'))
  }
  expect(await deadlocks()).toBe(before)
})

test('is advisory, with a reason, where a crash loses what was acknowledged', async () => {
  const pool = poolOf(primary, await newDatabase(primary.url()))
  const store = mariadbStore({ pool })
  await store.migrate()
  await expect(store.identify()).resolves.toMatchObject({ level: 'strong', reasons: [] })
  await pool.query('SET GLOBAL innodb_flush_log_at_trx_commit = 2')
  await expect(store.identify()).resolves.toMatchObject({
    level: 'advisory',
    reasons: [expect.stringContaining('innodb_flush_log_at_trx_commit')],
  })
  await pool.query('SET GLOBAL innodb_flush_log_at_trx_commit = 1')
})

test('keeps what it acknowledged, and its incarnation, when the server is killed and started again', async () => {
  const store = mariadbStore({ pool: poolOf(primary, await newDatabase(primary.url())) })
  await store.migrate()
  await store.writeDocument('keyring', 0, 'first')
  const before = await store.identify()
  const names = Array.from({ length: 250 }, (_, index) => `n${index}`)
  await store.write(1, creates(names))
  await primary.down()
  await expect(store.read(['n0'])).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE', retryable: true })
  await primary.up()
  await expect(store.identify()).resolves.toEqual(before)
  await expect(store.census()).resolves.toEqual(new Map([['v1', 250]]))
}, 60_000)

import { inspect } from 'node:util'
import type { Connection, Pool, PoolOptions } from 'mysql2/promise'
import { createConnection, createPool } from 'mysql2/promise'
import { expect, onTestFinished, test, vi } from 'vitest'
import { service } from '../../../test/services/service.ts'
import { type MariadbStore, mariadbStore } from '../mariadb-store.ts'
import { newDatabase } from './open.ts'
import { creates, record } from './records.ts'

// The machine may be busy, and the first test starts the server.
vi.setConfig({ testTimeout: 60_000 })

const UNAVAILABLE = { code: 'ERR_STORE_UNAVAILABLE', retryable: true }
const REFUSED = { code: 'ERR_STORE_CONFIGURATION', retryable: false }

interface Bench {
  readonly store: MariadbStore
  readonly pool: Pool
  readonly newPool: (options?: PoolOptions) => Pool
  readonly stranger: Connection
}

/** An empty store whose keyring document is at revision 1. */
async function bench(options: PoolOptions = {}): Promise<Bench> {
  const server = await service('mariadb')
  const uri = new URL(await newDatabase(server), server).href
  const stranger = await createConnection(uri)
  onTestFinished(() => stranger.destroy())
  const newPool = (more: PoolOptions = {}) => {
    const made = createPool({ uri, connectionLimit: 4, ...more })
    onTestFinished(() => made.end())
    return made
  }
  const pool = newPool(options)
  const store = mariadbStore({ pool })
  await store.migrate()
  await store.writeDocument('keyring', 0, 'first')
  return { store, pool, newPool, stranger }
}

/** How many statements like a pattern others have under way in the database. */
async function running(stranger: Connection, pattern: string): Promise<number> {
  const [rows] = await stranger.query(
    'SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE ? AND id <> CONNECTION_ID()',
    [pattern],
  )
  return (rows as unknown[]).length
}

test('brings texts and bytes back whatever the client is set up for', async () => {
  const { store } = await bench({
    charset: 'LATIN1_SWEDISH_CI',
    rowsAsArray: true,
    nestTables: '_',
    typeCast: () => 'nothing',
    supportBigNumbers: true,
    bigNumberStrings: true,
    dateStrings: true,
    namedPlaceholders: true,
    queryFormat: (query, values) => (Array.isArray(values) && values.length === 0 ? query : 'SELECT 1'),
    timezone: '+05:00',
  })
  const secret = record('Ärger/😀/:name/?')
  await expect(store.write(1, [{ kind: 'create', secret }])).resolves.toEqual(['done'])
  await expect(store.read([secret.name])).resolves.toEqual([secret])
  await expect(store.writeDocument('keyring', 1, '{"ŵ":"😀\'\\"}')).resolves.toBe(2)
  const document = await store.readDocument('keyring')
  expect(document).toMatchObject({ value: '{"ŵ":"😀\'\\"}', revision: 2 })
  expect(document?.ageMs).toBeLessThan(60_000)
  await expect(store.census()).resolves.toEqual(new Map([['v1', 1]]))
})

test('leaves no trace on the connections of the pool', async () => {
  const { store, pool, newPool } = await bench({ connectionLimit: 1 })
  const variables =
    'SELECT @@tx_isolation, @@innodb_lock_wait_timeout, @@max_statement_time, @@autocommit, @@in_transaction'
  const [fresh] = await newPool().query(variables)
  await store.write(1, creates(['a', 'b']))
  await store.write(7, creates(['c']))
  await store.writeDocument('keyring', 1, 'second')
  await store.census()
  const [used] = await pool.query(variables)
  expect(used).toEqual(fresh)
})

test('eight processes may run the migration at once', async () => {
  const { newPool } = await bench()
  const stores = Array.from({ length: 8 }, () => mariadbStore({ pool: newPool(), tablePrefix: 'other_' }))
  await Promise.all(stores.map((store) => store.migrate()))
  const identities = await Promise.all(stores.map((store) => store.identify()))
  expect(new Set(identities.map(({ incarnation }) => incarnation)).size).toBe(1)
})

test('says to run the migration where it has not been run', async () => {
  const { newPool } = await bench()
  const store = mariadbStore({ pool: newPool(), tablePrefix: 'absent_' })
  const expected = { code: 'ERR_STORE_NOT_MIGRATED', retryable: false }
  await expect(store.identify()).rejects.toMatchObject(expected)
  await expect(store.write(1, creates(['a']))).rejects.toMatchObject(expected)
})

test('refuses a tablePrefix that is not a plain word', () => {
  const pool = createPool({ host: '127.0.0.1' })
  onTestFinished(() => pool.end())
  expect(() => mariadbStore({ pool, tablePrefix: 'a`; --' })).toThrow(TypeError)
})

test.for([
  ['autocommit is off', 'SET SESSION autocommit = 0'],
  ['sql_mode is not strict', "SET SESSION sql_mode = ''"],
])('refuses connections where %s', async ([reason, statement]) => {
  const { newPool } = await bench()
  const pool = newPool({ connectionLimit: 1 })
  await pool.query(statement as string)
  await expect(mariadbStore({ pool }).read(['a'])).rejects.toMatchObject({
    ...REFUSED,
    message: expect.stringContaining(reason as string),
  })
})

test('gives up at once when its signal is aborted, and leaves no statement waiting for a lock', async () => {
  const { store, stranger } = await bench()
  await stranger.query('START TRANSACTION')
  await stranger.query('SELECT * FROM talos_documents FOR UPDATE')
  const abort = new AbortController()
  const writing = store.write(1, creates(['a']), { signal: abort.signal, timeoutMs: 60_000 })
  const waiting = () => running(stranger, '%SHARE MODE%')
  await vi.waitUntil(async () => (await waiting()) === 1, { timeout: 10_000 })
  abort.abort(new Error('enough'))
  await expect(writing).rejects.toMatchObject(UNAVAILABLE)
  await vi.waitUntil(async () => (await waiting()) === 0, { timeout: 10_000 })
  await stranger.query('ROLLBACK')
  await expect(store.read(['a'])).resolves.toEqual([null])
})

test('says that the outcome is unknown when a later transaction of a call fails', async () => {
  const { store, stranger } = await bench()
  const names = Array.from({ length: 300 }, (_, index) => `n${String(index).padStart(3, '0')}`)
  await store.write(1, creates(['n299']))
  await stranger.query('START TRANSACTION')
  await stranger.query("SELECT * FROM talos_secrets WHERE name = 'n299' FOR UPDATE")
  const abort = new AbortController()
  const writing = store.write(1, creates(names), { signal: abort.signal, timeoutMs: 60_000 })
  // Names reach the server in hexadecimal: this one is in the second transaction.
  const second = `%FORCE INDEX%${Buffer.from('n299').toString('hex')}%`
  await vi.waitUntil(async () => (await running(stranger, second)) === 1, { timeout: 10_000 })
  abort.abort()
  await expect(writing).rejects.toMatchObject({ code: 'ERR_STORE_OUTCOME_UNKNOWN', retryable: true })
  await stranger.query('ROLLBACK')
  const outcomes = await store.write(1, creates(names))
  expect(outcomes.filter((outcome) => outcome === 'already').length).toBeGreaterThanOrEqual(200)
})

test('no error carries a name, a statement or anything else that was sent', async () => {
  const { store, stranger } = await bench()
  const name = 'canary-name'
  const seen: unknown[] = []
  const keep = (error: unknown) => void seen.push(error)
  await stranger.query('START TRANSACTION')
  await stranger.query('SELECT * FROM talos_documents FOR UPDATE')
  await store.write(1, creates([name]), { timeoutMs: 100 }).catch(keep)
  await store.write(1, creates([name]), { signal: AbortSignal.abort() }).catch(keep)
  await stranger.query('ROLLBACK')
  await stranger.query('ALTER TABLE talos_secrets DROP COLUMN meta')
  await store.write(1, creates([name])).catch(keep)
  await stranger.query('DROP TABLE talos_secrets')
  await store.read([name]).catch(keep)
  expect(seen).toHaveLength(4)
  const printed = inspect(seen, { depth: null, showHidden: true })
  expect(printed).not.toContain(name)
  expect(printed).not.toContain(Buffer.from(name).toString('hex'))
  expect(printed).not.toMatch(/SELECT|INSERT/)
})

test('turns away a transaction that has been open since before a fence, with its old snapshot', async () => {
  const { store, stranger } = await bench()
  await stranger.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ')
  await stranger.query('START TRANSACTION WITH CONSISTENT SNAPSHOT')
  await stranger.query('SELECT * FROM talos_documents')
  await store.write(1, creates(['a']))
  await store.writeDocument('keyring', 1, 'second')
  const view = store.within(stranger)
  await expect(view.write(1, creates(['b']))).resolves.toEqual(['fenced'])
  await expect(view.read(['a'])).resolves.toEqual([record('a')])
  await expect(view.write(2, creates(['b']))).resolves.toEqual(['done'])
  await stranger.query('ROLLBACK')
  await expect(store.read(['b'])).resolves.toEqual([null])
})

test('a fence that waits for a transaction left open lets other writers pass', async () => {
  const { store, stranger } = await bench({ connectionLimit: 8 })
  await stranger.query('SET TRANSACTION ISOLATION LEVEL READ COMMITTED')
  await stranger.query('START TRANSACTION')
  await expect(store.within(stranger).write(1, creates(['held']))).resolves.toEqual(['done'])
  let fenced = false
  const fence = store.writeDocument('keyring', 1, 'second', { timeoutMs: 30_000 }).then((revision) => {
    fenced = true
    return revision
  })
  let slowest = 0
  for (let turn = 0; turn < 20; turn++) {
    const begun = performance.now()
    await expect(store.write(1, creates([`free/${turn}`]), { timeoutMs: 10_000 })).resolves.toEqual(['done'])
    slowest = Math.max(slowest, performance.now() - begun)
    await expect(store.readDocument('keyring')).resolves.toMatchObject({ revision: 1 })
  }
  expect(fenced).toBe(false)
  await stranger.query('COMMIT')
  await expect(fence).resolves.toBe(2)
  await expect(store.write(1, creates(['late']))).resolves.toEqual(['fenced'])
  console.log(`MariaDB: slowest of 20 writes behind a fence that waits: ${slowest.toFixed(0)} ms`)
})

test('a write that failed leaves nothing in the transaction it was part of', async () => {
  const { store, stranger, pool } = await bench()
  await store.write(1, creates(['z']))
  const other = await pool.getConnection()
  await other.query('START TRANSACTION')
  await other.query("SELECT * FROM talos_secrets WHERE name = 'z' FOR UPDATE")
  await stranger.query('START TRANSACTION')
  const names = [...Array.from({ length: 250 }, (_, index) => `n${index}`), 'z']
  await expect(store.within(stranger).write(1, creates(names), { timeoutMs: 500 })).rejects.toMatchObject(
    UNAVAILABLE,
  )
  await stranger.query('COMMIT')
  await other.query('ROLLBACK')
  other.release()
  await expect(store.census()).resolves.toEqual(new Map([['v1', 1]]))
})

test('refuses to be within a connection that has no transaction', async () => {
  const { store, stranger } = await bench()
  await expect(store.within(stranger).write(1, creates(['a']))).rejects.toMatchObject(REFUSED)
  await expect(store.read(['a'])).resolves.toEqual([null])
})

test('repeats a transaction that the server has ended because of a deadlock', async () => {
  const { store, stranger } = await bench()
  await store.write(1, creates(['a', 'b', ...Array.from({ length: 50 }, (_, index) => `c${index}`)]))
  await stranger.query('START TRANSACTION')
  // Rows that it has written make the other one the victim.
  await stranger.query("UPDATE talos_secrets SET meta = CONCAT(meta, ' ') WHERE name >= 'b'")
  const changes = ['b', 'a'].map((name) => ({
    kind: 'rewrap' as const,
    expectedWrap: record(name).wrap,
    secret: record(name, 'v2'),
  }))
  const writing = store.write(1, changes)
  await vi.waitUntil(async () => (await running(stranger, '%FORCE INDEX%')) === 1, { timeout: 10_000 })
  await stranger.query("SELECT * FROM talos_secrets WHERE name = 'a' FOR UPDATE")
  await stranger.query('COMMIT')
  await expect(writing).resolves.toEqual(['done', 'done'])
})

test('goes on with the only connection of a pool after calls were given up', async () => {
  const { store, stranger } = await bench({ connectionLimit: 1 })
  await stranger.query('START TRANSACTION')
  await stranger.query('SELECT * FROM talos_documents FOR UPDATE')
  const names = ['a', 'b', 'c']
  const given = names.map((name) => store.write(1, creates([name]), { timeoutMs: 200 }))
  for (const write of given) await expect(write).rejects.toMatchObject(UNAVAILABLE)
  await stranger.query('ROLLBACK')
  await expect(store.write(1, creates(names))).resolves.toEqual(['done', 'done', 'done'])
})

test('splits the longest records into transactions that the server accepts', async () => {
  const { store } = await bench()
  const sealed = new Uint8Array((await store.identify()).maxSealedBytes).fill(7)
  const names = ['x', 'y', 'z']
  const longest = names.map((name) => ({
    kind: 'create' as const,
    secret: { ...record(name), meta: `"${'m'.repeat(16_382)}"`, sealed },
  }))
  await expect(store.write(1, [...longest, ...creates(['small'])])).resolves.toEqual([
    'done',
    'done',
    'done',
    'done',
  ])
  const [first] = await store.read(['z'])
  expect(Buffer.from(first?.sealed ?? []).equals(sealed)).toBe(true)
})

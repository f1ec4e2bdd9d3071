import { closeSync, openSync, writeSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { inspect } from 'node:util'
import { openSqliteDatabase, sqliteStore } from '@talos/envelope-sqlite'
import { expect, test } from 'vitest'
import { refuseNetworkFile } from '../../src/connection.ts'
import { databaseFile } from '../database-file.ts'
import { creating, filled, rewrapping, secretOf } from '../records.ts'

test('openSqliteDatabase gives a connection that the store takes', async () => {
  const file = databaseFile()
  const database = file.connect()
  const setting = (name: string) => Object.values(database.prepare(`PRAGMA ${name}`).get()!)[0]
  expect(['synchronous', 'busy_timeout', 'foreign_keys'].map(setting)).toEqual([2, 0, 0])
  await sqliteStore({ database }).migrate()
  expect(setting('journal_mode')).toBe('wal')
})

test.each([
  ['PRAGMA synchronous = NORMAL', 'PRAGMA synchronous = FULL'],
  ['PRAGMA synchronous = OFF', 'PRAGMA synchronous = FULL'],
  ['PRAGMA busy_timeout = 5000', 'PRAGMA busy_timeout = 0'],
])('a connection with %s is refused with the line that mends it', async (wrong, right) => {
  const file = databaseFile()
  await file.migrated()
  const database = file.connect()
  database.exec(wrong)
  const store = sqliteStore({ database })
  for (const call of [() => store.migrate(), () => store.census(), () => store.writeDocument('a', 0, '')]) {
    await expect(call()).rejects.toMatchObject({
      code: 'ERR_STORE_CONFIGURATION',
      retryable: false,
      message: expect.stringContaining(`database.exec('${right}')`),
    })
  }
  database.exec(right)
  expect(await store.census()).toEqual(new Map())
})

test('a connection with PRAGMA synchronous = EXTRA is taken', async () => {
  const file = databaseFile()
  const database = file.connect()
  database.exec('PRAGMA synchronous = EXTRA')
  await sqliteStore({ database }).migrate()
})

test('a file that was switched back from write-ahead logging is refused until it is migrated', async () => {
  const file = databaseFile()
  const database = file.connect()
  await sqliteStore({ database }).migrate()
  database.exec('PRAGMA journal_mode = DELETE')
  const store = sqliteStore({ database })
  await expect(store.census()).rejects.toMatchObject({
    code: 'ERR_STORE_NOT_MIGRATED',
    message: expect.stringContaining('await store.migrate()'),
  })
  await store.migrate()
  expect(await store.census()).toEqual(new Map())
})

test('a database in memory says that it is advisory', async () => {
  const database = openSqliteDatabase(':memory:')
  const store = sqliteStore({ database })
  await store.migrate()
  const { level, reasons } = await store.identify()
  expect(level).toBe('advisory')
  expect(reasons.join()).toContain('in memory')
  database.close()
})

test('options of the connection that change how rows look do not reach the store', async () => {
  const file = databaseFile()
  await filled(await file.migrated(), 1)
  const database = new DatabaseSync(file.path, { readBigInts: true, returnArrays: true })
  const store = sqliteStore({ database })
  await store.migrate()
  expect(await store.census()).toEqual(new Map([['v1', 1]]))
  expect((await store.readDocument('keyring'))?.revision).toBe(1)
  expect(await store.write(1, [rewrapping('n0', 'v1', 'v2')])).toEqual(['done'])
  expect((await store.read(['n0']))[0]?.wrap).toBe('talos:v2:v2:n0')
  database.close()
})

test('a closed connection is named, and one that was opened again works on', async () => {
  const file = databaseFile()
  const database = file.connect()
  const store = sqliteStore({ database })
  await store.migrate()
  await filled(store, 1)
  const { incarnation } = await store.identify()
  database.close()
  for (const call of [() => store.census(), () => store.writeDocument('a', 0, ''), () => store.migrate()]) {
    await expect(call()).rejects.toMatchObject({
      code: 'ERR_STORE_CONFIGURATION',
      message: expect.stringContaining('closed'),
    })
  }
  database.open()
  expect(await store.census()).toEqual(new Map([['v1', 1]]))
  expect((await store.identify()).incarnation).toBe(incarnation)
  expect(await store.write(1, [rewrapping('n0', 'v1', 'v2')])).toEqual(['done'])
})

test('a connection opened again with other settings is checked again', async () => {
  const file = databaseFile()
  await file.migrated()
  const database = new DatabaseSync(file.path, { timeout: 1_000 })
  database.exec('PRAGMA busy_timeout = 0')
  const store = sqliteStore({ database })
  expect(await store.census()).toEqual(new Map())
  database.close()
  database.open()
  await expect(store.census()).rejects.toMatchObject({ code: 'ERR_STORE_CONFIGURATION' })
  database.close()
})

test('calls wait for the end of a transaction of the connection’s owner and see what it left', async () => {
  const file = databaseFile()
  const database = file.connect()
  const store = sqliteStore({ database })
  await store.migrate()
  await filled(store, 2)
  database.exec('BEGIN')
  database.exec("UPDATE talos_documents SET value = 'by the owner' WHERE key = 'keyring'")
  const inTransaction = { code: 'ERR_STORE_UNAVAILABLE', message: expect.stringContaining('of its owner') }
  await expect(store.census({ timeoutMs: 20 })).rejects.toMatchObject(inTransaction)
  await expect(store.writeDocument('a', 0, '', { timeoutMs: 20 })).rejects.toMatchObject(inTransaction)
  const reading = store.readDocument('keyring')
  const writing = store.write(1, [rewrapping('n0', 'v1', 'v2')])
  database.exec('ROLLBACK')
  expect((await reading)?.value).toBe('{}')
  expect(await writing).toEqual(['done'])
})

test('a read-only connection reads, and says of a write that it cannot', async () => {
  const file = databaseFile()
  await filled(await file.migrated(), 1)
  const database = new DatabaseSync(file.path, { readOnly: true })
  const store = sqliteStore({ database })
  expect(await store.census()).toEqual(new Map([['v1', 1]]))
  const refused = { code: 'ERR_STORE_CONFIGURATION', retryable: false }
  await expect(store.write(1, [rewrapping('n0', 'v1', 'v2')])).rejects.toMatchObject(refused)
  database.close()
})

test('a full disk is unavailable, with nothing written, and passes', async () => {
  const file = databaseFile()
  const database = file.connect()
  const store = sqliteStore({ database })
  await store.migrate()
  await filled(store, 1)
  const pages = Object.values(database.prepare('PRAGMA page_count').get()!)[0]
  database.exec(`PRAGMA max_page_count = ${pages}`)
  const large = secretOf('large', 'v1', 100_000)
  await expect(store.write(1, [creating(large)])).rejects.toMatchObject({
    code: 'ERR_STORE_UNAVAILABLE',
    retryable: true,
    message: expect.stringContaining('disk is full'),
  })
  expect(await store.read(['large'])).toEqual([null])
  database.exec('PRAGMA max_page_count = 1000000')
  expect(await store.write(1, [creating(large)])).toEqual(['done'])
})

test('a write that fails does not take along those it shared a transaction with', async () => {
  const file = databaseFile()
  const database = file.connect()
  const store = sqliteStore({ database })
  await store.migrate()
  await filled(store, 1)
  const pages = Number(Object.values(database.prepare('PRAGMA page_count').get()!)[0])
  database.exec(`PRAGMA max_page_count = ${pages + 3}`)
  const secrets = [secretOf('small'), secretOf('large', 'v1', 100_000), secretOf('small-too')]
  const ended = await Promise.allSettled(secrets.map((secret) => store.write(1, [creating(secret)])))
  expect(ended).toMatchObject([
    { value: ['done'] },
    { reason: { code: 'ERR_STORE_UNAVAILABLE' } },
    { value: ['done'] },
  ])
  expect(await store.read(['small', 'large', 'small-too'])).toMatchObject([{}, null, {}])
})

test.each([
  [0x6969, 'NFS'],
  [0xff534d42, 'CIFS'],
  [0xff534d42 | 0, 'CIFS'],
  [0xfe534d42, 'SMB 2'],
])('a file on a file system of type %i is refused as %s', (type, kind) => {
  expect(() => refuseNetworkFile('/secrets.db', () => type)).toThrow(kind)
})

test('a file on a local disk, or where nobody can tell, is taken', () => {
  for (const type of [0xef53, 0x58465342, 0x01021994, 0]) refuseNetworkFile('/secrets.db', () => type)
  refuseNetworkFile('/there/is/no/such/file')
})

test('a damaged file is named, without its content', async () => {
  const file = databaseFile()
  await filled(await file.migrated(), 2_000)
  const database = file.connect()
  database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  const size = Number(Object.values(database.prepare('PRAGMA page_count').get()!)[0])
  const descriptor = openSync(file.path, 'r+')
  for (let page = 6; page < size; page += 1)
    writeSync(descriptor, Buffer.alloc(4_096, 0xa5), 0, 4_096, page * 4_096)
  closeSync(descriptor)
  const store = file.store()
  const error = await store.census().catch((error: unknown) => error)
  expect(error).toMatchObject({ code: 'ERR_STORE_DAMAGED', retryable: false })
  expect(inspect(error)).not.toContain('n1999')
})

test('a file that is no database is named', async () => {
  const file = databaseFile()
  const descriptor = openSync(file.path, 'w')
  writeSync(descriptor, 'this is a text and no database at all. '.repeat(200))
  closeSync(descriptor)
  const database = new DatabaseSync(file.path)
  await expect(sqliteStore({ database }).migrate()).rejects.toMatchObject({ code: 'ERR_STORE_DAMAGED' })
  database.close()
})

test('no error carries names, wrap texts or values', async () => {
  const file = databaseFile()
  const store = await file.migrated()
  await filled(store, 1)
  file
    .connect()
    .exec("CREATE TRIGGER refuse BEFORE INSERT ON talos_secrets BEGIN SELECT RAISE(ABORT, 'no'); END")
  const canary = { ...secretOf('canary-name'), wrap: 'talos:v2:v1:canary-wrap', meta: '{"m":"canary-meta"}' }
  const error = await store.write(1, [creating(canary)]).catch((error: unknown) => error)
  expect(error).toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' })
  expect(inspect(error, { depth: 9 })).not.toContain('canary')
})

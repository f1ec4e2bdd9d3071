import { DatabaseSync } from 'node:sqlite'
import { migrationSql, sqliteStore } from '@talos/envelope-sqlite'
import { expect, test } from 'vitest'
import { databaseFile } from '../database-file.ts'
import { creating, secretOf } from '../records.ts'

const SCHEMA = 'SELECT type, name, sql FROM sqlite_schema ORDER BY name'

test('a store without tables names the line that makes them, in every call', async () => {
  const store = databaseFile().store()
  const calls = [
    () => store.identify(),
    () => store.read(['a']),
    () => store.scan({ cursor: null, limit: 1 }),
    () => store.write(1, [creating(secretOf('a'))]),
    () => store.census(),
    () => store.readDocument('keyring'),
    () => store.writeDocument('keyring', 0, '{}'),
    () => store.listDocuments({ prefix: '', cursor: null, limit: 1 }),
    () => store.shards!(2),
  ]
  for (const call of calls) {
    await expect(call()).rejects.toMatchObject({
      name: 'StoreError',
      code: 'ERR_STORE_NOT_MIGRATED',
      retryable: false,
      message: expect.stringContaining('await store.migrate()'),
    })
  }
  await store.migrate()
  expect(await store.census()).toEqual(new Map())
})

test('making a store neither reads nor writes', () => {
  const database = new DatabaseSync(':memory:', { open: false })
  expect(() => sqliteStore({ database })).not.toThrow()
})

test('migrating again changes nothing and keeps the incarnation', async () => {
  const file = databaseFile()
  const store = await file.migrated()
  const { incarnation } = await store.identify()
  const schema = file.connect().prepare(SCHEMA).all()
  await store.migrate()
  await file.migrated()
  expect(file.connect().prepare(SCHEMA).all()).toEqual(schema)
  expect((await store.identify()).incarnation).toBe(incarnation)
  expect(incarnation).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})

test('the printed plan, run by hand, is what migrate makes', async () => {
  const [byHand, byStore] = [databaseFile(), databaseFile()]
  byHand.connect().exec(migrationSql())
  await byStore.migrated()
  expect(byHand.connect().prepare(SCHEMA).all()).toEqual(byStore.connect().prepare(SCHEMA).all())
  const store = byHand.store()
  expect(await store.writeDocument('keyring', 0, '{}')).toBe(1)
  expect(await store.write(1, [creating(secretOf('a'))])).toEqual(['done'])
})

test('a plan from the present schema has nothing to run', () => {
  expect(migrationSql({ fromVersion: 1 })).toBe('-- schema 1 is up to date\n')
  for (const fromVersion of [-1, 2, 0.5]) expect(() => migrationSql({ fromVersion })).toThrow(TypeError)
})

test('tables of a newer version are neither used nor changed', async () => {
  const file = databaseFile()
  const store = await file.migrated()
  file.connect().exec('UPDATE talos_store SET schema_version = 2')
  const newer = {
    code: 'ERR_STORE_NOT_MIGRATED',
    message: expect.stringContaining('update the package'),
  }
  await expect(store.migrate()).rejects.toMatchObject(newer)
  await expect(file.store().census()).rejects.toMatchObject(newer)
})

test('tables that were dropped under a running store are reported as not migrated', async () => {
  const file = databaseFile()
  const store = await file.migrated()
  expect(await store.census()).toEqual(new Map())
  file.connect().exec('DROP TABLE talos_secrets')
  await expect(store.census()).rejects.toMatchObject({ code: 'ERR_STORE_NOT_MIGRATED' })
})

test('two prefixes in one file are two stores', async () => {
  const file = databaseFile()
  const [a, b] = [await file.migrated({ tablePrefix: 'a_' }), await file.migrated({ tablePrefix: 'b_' })]
  await a.writeDocument('keyring', 0, '{}')
  expect(await a.write(1, [creating(secretOf('x'))])).toEqual(['done'])
  expect(await b.write(1, [creating(secretOf('x'))])).toEqual(['fenced'])
  expect(await b.census()).toEqual(new Map())
  expect((await a.identify()).incarnation).not.toBe((await b.identify()).incarnation)
})

test.each(['', '1a_', 'a-', 'a b', 'a"; DROP TABLE x; --', 'sqlite_', 'SQLite_a', 'x'.repeat(33), 'ä_'])(
  'the table prefix %j is refused',
  (tablePrefix) => {
    const database = new DatabaseSync(':memory:')
    expect(() => sqliteStore({ database, tablePrefix })).toThrow(TypeError)
    expect(() => migrationSql({ tablePrefix })).toThrow(TypeError)
    database.close()
  },
)

test('a record whose KEK id does not fit its wrap text cannot be put into the table', async () => {
  const file = databaseFile()
  await file.migrated()
  const insert = (kekId: string) =>
    file.connect().exec(`INSERT INTO talos_secrets VALUES ('a', 'talos:v2:v1:x', '{}', '${kekId}', 1)`)
  expect(() => insert('v2')).toThrow(/CHECK constraint/)
  expect(() => insert('v1')).not.toThrow()
})

import { grantSql, guardTriggerSql, migrationSql, postgresStore } from '@talos/envelope-postgres'
import { Pool } from 'pg'
import { beforeAll, expect, test } from 'vitest'
import { service } from '../../../../test/services/service.ts'
import { creating, filled } from '../../../../test/stored-secrets.ts'
import { type Database, database } from '../database.ts'

let url = ''
let pooler = ''
beforeAll(async () => {
  url = await service('postgres-18')
  pooler = await service('pgbouncer')
})

/** All that a migration makes, as the server describes it. */
async function objects(at: Database): Promise<object[]> {
  const rows = await at.run<{ object: string }>(
    `SELECT concat_ws(' ', c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod), a.attstorage, a.attgenerated,
       c.reloptions, pg_get_indexdef(c.oid)) AS object
     FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND c.relkind IN ('r', 'i')
     UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint
       WHERE connamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
     UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
     ORDER BY 1`,
    [at.schema],
  )
  return rows.map(({ object }) =>
    object.replaceAll(at.schema.replaceAll('"', '""'), 'schema').replaceAll(at.schema, 'schema'),
  ) as never
}

test('a store without tables names the line that makes them, in every call', async () => {
  const store = database(url).store()
  const calls = [
    () => store.identify(),
    () => store.read(['a']),
    () => store.scan({ cursor: null, limit: 1 }),
    () => store.write(1, [creating('a')]),
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

test('making a store neither reads nor writes, nor touches its pool', () => {
  const pool = new Pool({ connectionString: 'postgres://nobody@127.0.0.1:1/none' })
  const store = postgresStore({ pool })
  store.within(undefined as never)
  expect([pool.totalCount, pool.listenerCount('error')]).toEqual([0, 0])
})

test('migrating again changes nothing and keeps the incarnation', async () => {
  const at = database(url)
  const store = await at.migrated()
  const { incarnation } = await store.identify()
  const made = await objects(at)
  await store.migrate()
  await at.migrated()
  expect(await objects(at)).toEqual(made)
  expect((await store.identify()).incarnation).toBe(incarnation)
})

test.each(['directly', 'through PgBouncer'])('eight processes may migrate at once, %s', async (how) => {
  const at = database(how === 'directly' ? url : pooler)
  const stores = Array.from({ length: 8 }, () => at.store())
  await Promise.all(stores.map((store) => store.migrate()))
  const incarnations = await Promise.all(stores.map(async (store) => (await store.identify()).incarnation))
  expect(new Set(incarnations).size).toBe(1)
})

test('the printed plan, run by hand, is what migrate makes', async () => {
  const [byHand, byStore] = [database(url), database(url)]
  await byHand.run(migrationSql({ schema: byHand.schema }))
  await byStore.migrated()
  const made = await objects(byHand)
  expect(made).toEqual(await objects(byStore))
  expect(made.length).toBeGreaterThan(20)
  const store = byHand.store()
  await filled(store, 1)
  expect(await store.census()).toEqual(new Map([['v1', 1]]))
})

test('a plan from the present schema has nothing to run', () => {
  expect(migrationSql({ fromVersion: 1 })).toBe('-- schema 1 is up to date\n')
  for (const fromVersion of [-1, 2, 0.5]) expect(() => migrationSql({ fromVersion })).toThrow(TypeError)
})

test('tables of a newer version are neither used nor changed', async () => {
  const at = database(url)
  const store = await at.migrated()
  await at.run(`UPDATE ${at.of('store')} SET schema_version = 2`)
  const newer = { code: 'ERR_STORE_NOT_MIGRATED', message: expect.stringContaining('update the package') }
  await expect(store.migrate()).rejects.toMatchObject(newer)
  await expect(at.store().census()).rejects.toMatchObject(newer)
})

test('tables of an older version are not used', async () => {
  const at = database(url)
  await at.migrated()
  await at.run(`UPDATE ${at.of('store')} SET schema_version = 0`)
  await expect(at.store().census()).rejects.toMatchObject({
    code: 'ERR_STORE_NOT_MIGRATED',
    message: expect.stringContaining('await store.migrate()'),
  })
})

test('tables that were dropped under a running store are reported as not migrated', async () => {
  const at = database(url)
  const store = await at.migrated()
  await filled(store, 1)
  await at.run(`DROP SCHEMA "${at.schema.replaceAll('"', '""')}" CASCADE`)
  const dropped = { code: 'ERR_STORE_NOT_MIGRATED' }
  await expect(store.census()).rejects.toMatchObject(dropped)
  await expect(store.write(1, [creating('a')])).rejects.toMatchObject(dropped)
  await expect(store.writeDocument('a', 0, '')).rejects.toMatchObject(dropped)
})

test.each(['store', 'secrets', 'fence'])(
  'a table %s that belongs to something else is left alone',
  async (table) => {
    const at = database(url)
    await at.run(
      `CREATE SCHEMA "${at.schema.replaceAll('"', '""')}"; CREATE TABLE ${at.of(table)} (other text)`,
    )
    const before = await objects(at)
    await expect(at.store().migrate()).rejects.toMatchObject({
      code: 'ERR_STORE_CONFIGURATION',
      message: expect.stringMatching(new RegExp(`talos_${table}.*another schema or tablePrefix`)),
    })
    expect(await objects(at)).toEqual(before)
  },
)

test('two prefixes in one schema, and one prefix in two schemas, are stores of their own', async () => {
  const [one, other] = [database(url), database(url)]
  const stores = await Promise.all([
    one.migrated({ tablePrefix: 'a_' }),
    one.migrated({ tablePrefix: 'B_' }),
    other.migrated({ tablePrefix: 'a_' }),
  ])
  await filled(stores[0], 1)
  for (const store of stores.slice(1)) {
    expect(await store.write(1, [creating('x')])).toEqual(['fenced'])
    expect(await store.census()).toEqual(new Map())
  }
  const incarnations = await Promise.all(stores.map(async (store) => (await store.identify()).incarnation))
  expect(new Set(incarnations).size).toBe(3)
})

test.each(['', '1a_', 'a-', 'a b', 'a"; DROP TABLE x; --', 'x'.repeat(33), 'ä_'])(
  'the table prefix %j is refused',
  (tablePrefix) => {
    const pool = new Pool()
    expect(() => postgresStore({ pool, tablePrefix })).toThrow(TypeError)
    expect(() => migrationSql({ tablePrefix })).toThrow(TypeError)
    expect(() => grantSql({ tablePrefix, role: 'a' })).toThrow(TypeError)
    expect(() => guardTriggerSql({ tablePrefix })).toThrow(TypeError)
  },
)

test.each(['', 'a\0b', 'a\nb', 'x'.repeat(64), '€'.repeat(22), 'pg_own', 'a$talos$b', '\ud800'])(
  'the schema name %j is refused',
  (schema) => {
    expect(() => postgresStore({ pool: new Pool(), schema })).toThrow(TypeError)
    expect(() => migrationSql({ schema })).toThrow(TypeError)
  },
)

test.each(["O'Brien", 'back\\slash', 'a"b', 'select', 'Ünï cödé', '$$', "$1 '; --"])(
  'the schema name %j works',
  async (name) => {
    const at = database(url)
    const schema = `${name} ${at.schema.slice(-8, -1)}`
    const store = at.store({ schema })
    await store.migrate()
    await filled(store, 1)
    expect(await store.census()).toEqual(new Map([['v1', 1]]))
    await at.run(guardTriggerSql({ schema }))
    expect(await store.write(1, [creating('guarded')])).toEqual(['done'])
  },
)

test('a wrap text edited by hand keeps its KEK id beside it, and one without a KEK id is refused', async () => {
  const at = database(url)
  const store = await at.migrated()
  await filled(store, 1)
  await at.run(`UPDATE ${at.of('secrets')} SET wrap = 'talos:v2:edited:x'`)
  expect(await store.census()).toEqual(new Map([['edited', 1]]))
  for (const wrap of ['', 'garbage', 'talos:v2:', 'talos:v2::x']) {
    await expect(at.run(`UPDATE ${at.of('secrets')} SET wrap = $1`, [wrap])).rejects.toThrow(/kek_id_check/)
  }
  await expect(at.run(`UPDATE ${at.of('secrets')} SET kek_id = 'v1'`)).rejects.toThrow(
    /can only be updated to DEFAULT/,
  )
})

test('with the trigger, plain SQL writes nothing without the present revision of the keyring document', async () => {
  const at = database(url)
  const store = await at.migrated()
  await filled(store, 1)
  await at.run(guardTriggerSql({ schema: at.schema }))
  await at.run(guardTriggerSql({ schema: at.schema }))
  const insert = (name: string) =>
    `INSERT INTO ${at.of('secrets')} (name, wrap, meta, sealed) VALUES ('${name}', 'talos:v2:v1:x', '{}', '\\x00')`
  const unguarded = { code: 'TLS02', hint: expect.stringContaining('guard') }
  await expect(at.run(insert('a'))).rejects.toMatchObject(unguarded)
  await expect(at.run(`UPDATE ${at.of('secrets')} SET meta = '{}'`)).rejects.toMatchObject(unguarded)
  const guarded = (revision: number, name: string) =>
    at.run(`BEGIN; SELECT ${at.of('guard')}(${revision}); ${insert(name)}; COMMIT`)
  await guarded(1, 'a')
  await store.writeDocument('keyring', 1, '{"epoch":2}')
  const pool = at.pool({ max: 1 })
  const late = pool.query(`BEGIN; SELECT ${at.of('guard')}(1); ${insert('b')}; COMMIT`)
  await expect(late).rejects.toMatchObject(unguarded)
  expect(await store.write(2, [creating('c')])).toEqual(['done'])
  await at.run(`DELETE FROM ${at.of('secrets')} WHERE name = 'a'`)
  expect(await store.census()).toEqual(new Map([['v1', 2]]))
})

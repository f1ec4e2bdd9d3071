import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chownSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { postgresStore } from '@talos/envelope-postgres'
import { Pool, type PoolClient } from 'pg'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { PostgresServer } from '../../../../test/services/postgres-server.ts'
import { debianPostgres } from '../../../../test/services/programs.ts'
import { creating, filled, rewrapping, until } from '../../../../test/stored-secrets.ts'
import { type Database, database } from '../database.ts'

/** A server of its own, which these tests crash and copy. */
let server: PostgresServer
beforeAll(async () => {
  server = await PostgresServer.start(debianPostgres(), {
    settings: { fsync: 'on', wal_level: 'replica', max_wal_senders: '4' },
  })
})
afterAll(() => server.stop())

/** A pool as an application makes one that never heard of the `error` event. */
function bare(url: string): Pool {
  const pool = new Pool({ connectionString: url, max: 4 })
  onTestFinished(() => pool.end())
  return pool
}

/** Waits until a statement waits for a lock. */
function lockWait(at: Database): Promise<void> {
  const sql = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
  return until(async () => (await at.run(sql)).length > 0)
}

test('a server that crashes under idle and busy connections ends neither the process nor the store', async () => {
  const at = database(server.url())
  const pool = bare(server.url())
  const store = postgresStore({ pool, schema: at.schema })
  await store.migrate()
  await filled(store, 3)
  await Promise.all([store.census(), store.census(), store.census()])
  expect(pool.idleCount).toBeGreaterThan(1)
  const holder = bare(server.url())
  const client: PoolClient = await holder.connect()
  client.on('error', () => {})
  holder.on('error', () => {})
  await client.query(`BEGIN; SELECT FROM ${at.of('secrets')} WHERE name = 'n0' FOR UPDATE`)
  // Holds up the write, so that the crash meets it on the server.
  const busy = store.write(1, [rewrapping('n0', 'v1', 'v2')]).catch((error: unknown) => error)
  await lockWait(at)
  await server.down('immediate')
  client.release(true)
  // The server's last word may have come after the commit, so nobody can know.
  expect(await busy).toMatchObject({ code: 'ERR_STORE_OUTCOME_UNKNOWN', retryable: true })
  await expect(store.census()).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE', retryable: true })
  await server.up()
  expect(await store.write(1, [rewrapping('n1', 'v1', 'v2')])).toEqual(['done'])
  expect(await store.write(1, [rewrapping('n0', 'v1', 'v2')])).toEqual(['done'])
  expect(await store.census()).toEqual(
    new Map([
      ['v1', 1],
      ['v2', 2],
    ]),
  )
  expect(pool.ended).toBe(false)
})

test('a crash keeps the incarnation, and everything that was acknowledged', async () => {
  const at = database(server.url())
  const store = await at.migrated()
  await filled(store, 0)
  const before = await store.identify()
  expect(before).toMatchObject({ kind: 'postgres', level: 'strong', reasons: [] })
  for (let n = 0; n < 50; n += 1) await store.write(1, [creating(`a${n}`)])
  await server.down('immediate')
  await server.up()
  const again = database(server.url())
  const reopened = again.store({ schema: at.schema })
  expect(await reopened.identify()).toEqual(before)
  expect(await reopened.census()).toEqual(new Map([['v1', 50]]))
})

test('settings under which acknowledged writes may be lost make the level advisory, with the reason', async () => {
  const at = database(server.url())
  await at.migrated()
  const store = at.store({ pool: at.pool({ options: '-c synchronous_commit=off' }) })
  expect(await store.identify()).toMatchObject({
    level: 'advisory',
    reasons: [expect.stringContaining('synchronous_commit is off')],
  })
})

test('a replica is refused in every call, and once promoted has another incarnation', async () => {
  const at = database(server.url())
  const store = await at.migrated()
  await filled(store, 1)
  const before = await store.identify()
  const follower = await PostgresServer.follow(server)
  onTestFinished(() => follower.stop())
  const copy = database(follower.url())
  await until(
    async () => (await copy.run(`SELECT FROM pg_namespace WHERE nspname = $1`, [at.schema])).length === 1,
  )
  const replica = copy.store({ schema: at.schema })
  const calls = [
    () => replica.migrate(),
    () => replica.identify(),
    () => replica.read(['n0']),
    () => replica.scan({ cursor: null, limit: 1 }),
    () => replica.write(1, [creating('a')]),
    () => replica.census(),
    () => replica.readDocument('keyring'),
    () => replica.writeDocument('keyring', 1, '{}'),
    () => replica.writeDocument('a', 0, ''),
    () => replica.listDocuments({ prefix: '', cursor: null, limit: 1 }),
    () => replica.shards!(2),
  ]
  const refused = {
    code: 'ERR_STORE_CONFIGURATION',
    message: expect.stringContaining('the server is a replica'),
  }
  for (const call of calls) await expect(call()).rejects.toMatchObject(refused)
  await follower.promote()
  expect(await replica.census()).toEqual(new Map([['v1', 1]]))
  const after = await replica.identify()
  expect(after.incarnation).not.toBe(before.incarnation)
  expect(
    after.incarnation.split('.').filter((part, n) => part !== before.incarnation.split('.')[n]),
  ).toHaveLength(1)
}, 20_000)

test('a store that was used before its server became a replica notices it', async () => {
  const follower = await PostgresServer.follow(server)
  onTestFinished(() => follower.stop())
  const name = `Moved ${randomBytes(4).toString('hex')}`
  const at = database(server.url())
  await at.migrated({ schema: name })
  // One pool whose address leads to the primary first and to the replica later, as after a failover.
  const pool = bare(server.url())
  const store = postgresStore({ pool, schema: name })
  await filled(store, 1)
  // Replication is asynchronous: until the copy has the table it says, rightly, that the table is missing.
  const copy = database(follower.url())
  const replayed = 'SELECT FROM pg_tables WHERE schemaname = $1'
  await until(async () => (await copy.run(replayed, [name])).length > 0)
  await Promise.all([pool.connect(), pool.connect()]).then((clients) =>
    clients.forEach((client) => void client.release(true)),
  )
  const moved = new URL(follower.url())
  Object.assign(pool.options, {
    connectionString: undefined,
    host: moved.hostname,
    port: Number(moved.port),
    user: 'postgres',
    database: 'postgres',
  })
  const refused = {
    code: 'ERR_STORE_CONFIGURATION',
    message: expect.stringContaining('the server is a replica'),
  }
  await until(() => pool.totalCount === 0)
  await expect(store.read(['n0'])).rejects.toMatchObject(refused)
  await expect(store.write(1, [rewrapping('n0', 'v1', 'v2')])).rejects.toMatchObject(refused)
  await expect(store.census()).rejects.toMatchObject(refused)
}, 20_000)

test('a restored dump has another incarnation', async () => {
  const at = database(server.url())
  const store = await at.migrated()
  await filled(store, 2)
  const { incarnation } = await store.identify()
  const dump = join(tmpdir(), `dump-${randomBytes(6).toString('hex')}`)
  const place = ['-h', '127.0.0.1', '-p', String(server.port), '-U', 'postgres']
  await server.run('pg_dump', [
    ...place,
    '-n',
    `"${at.schema.replaceAll('"', '""')}"`,
    '-Fc',
    '-f',
    dump,
    'postgres',
  ])
  await at.run(`DROP SCHEMA "${at.schema.replaceAll('"', '""')}" CASCADE`)
  await server.run('pg_restore', [...place, '-d', 'postgres', dump])
  await server.run('pg_ctl', ['--version'])
  expect(await store.census()).toEqual(new Map([['v1', 2]]))
  expect((await store.identify()).incarnation).not.toBe(incarnation)
})

test('over TLS a call that is aborted is cancelled over TLS', async () => {
  const [certificate, key] = [join(server.data, 'server.crt'), join(server.data, 'server.key')]
  const made = spawnSync('/usr/bin/openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', '/CN=localhost', '-out', certificate, '-keyout', key],
  ])
  expect(made.status).toBe(0)
  const { uid, gid } = server.programs.account
  if (uid !== undefined) for (const file of [certificate, key]) chownSync(file, uid, gid ?? uid)
  const at = database(server.url())
  await at.run('ALTER SYSTEM SET ssl = on')
  await at.run('SELECT pg_reload_conf()')
  const pool = new Pool({ connectionString: server.url(), ssl: { rejectUnauthorized: false }, max: 2 })
  onTestFinished(() => pool.end())
  await until(() => pool.query('SELECT 1').then(Boolean, () => false))
  const store = postgresStore({ pool, schema: at.schema })
  await store.migrate()
  await filled(store, 1)
  const holder = await at.client()
  await holder.query(`BEGIN; SELECT FROM ${at.of('secrets')} FOR UPDATE`)
  const abort = new AbortController()
  const held = store
    .write(1, [rewrapping('n0', 'v1', 'v2')], { signal: abort.signal })
    .catch((error: unknown) => error)
  await lockWait(at)
  abort.abort()
  // Of a statement that goes on, nobody can know that nothing was written.
  expect(await held).toMatchObject({
    code: 'ERR_STORE_UNAVAILABLE',
    message: 'the call was aborted; nothing was written',
  })
  await holder.query('ROLLBACK')
  expect(await store.census()).toEqual(new Map([['v1', 1]]))
})

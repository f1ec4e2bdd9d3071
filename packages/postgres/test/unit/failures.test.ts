import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import type { SecretStore } from '@talos/envelope'
import { grantSql, postgresStore } from '@talos/envelope-postgres'
import { Pool, type PoolConfig } from 'pg'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { ROLE_WITH_PASSWORD } from '../../../../test/services/postgres-server.ts'
import { freePort } from '../../../../test/services/programs.ts'
import { service } from '../../../../test/services/service.ts'
import { creating, filled, rewrapping, secretOf, until } from '../../../../test/stored-secrets.ts'
import { type Database, database } from '../database.ts'

let url = ''
beforeAll(async () => {
  url = await service('postgres-18')
})

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

/** A pool that is ended when the test is over. */
function poolOf(config: PoolConfig): Pool {
  const pool = new Pool(config)
  onTestFinished(() => (pool.ended ? undefined : pool.end()))
  return pool
}

/** Makes a role that is removed when the test is over, and answers the address for it. */
async function role(at: Database): Promise<{ readonly name: string; readonly url: string }> {
  const name = `role_${randomBytes(4).toString('hex')}`
  await at.run(`CREATE ROLE ${name} LOGIN`)
  return { name, url: url.replace('postgres@', `${name}@`) }
}

/** Every call a vault makes. */
async function useAll(store: SecretStore): Promise<void> {
  await store.identify()
  expect(await store.writeDocument('keyring', 0, '{}')).toBe(1)
  expect(await store.writeDocument('a', 0, 'x')).toBe(1)
  expect(await store.writeDocument('a', 1, 'y')).toBe(2)
  expect(await store.writeDocument('a', 2, null)).toBe(0)
  expect(await store.write(1, [creating('a'), creating('b')])).toEqual(['done', 'done'])
  expect(await store.write(1, [rewrapping('a', 'v1', 'v2')])).toEqual(['done'])
  const replaced = { kind: 'replace', expectedWrap: secretOf('b').wrap, secret: secretOf('b', 'v3') } as const
  expect(await store.write(1, [replaced])).toEqual(['done'])
  expect(
    await store.write(1, [{ kind: 'delete', expectedWrap: secretOf('b', 'v3').wrap, name: 'b' }]),
  ).toEqual(['done'])
  await store.read(['a'])
  await store.scan({ cursor: null, limit: 10, exceptKekId: 'v3' })
  for (const shard of await store.shards!(4)) await store.scan({ cursor: null, limit: 10, shard })
  await store.listDocuments({ prefix: '', cursor: null, limit: 10 })
  expect(await store.census()).toEqual(new Map([['v2', 1]]))
  expect(await store.writeDocument('keyring', 1, '{"epoch":2}')).toBe(2)
}

describe('of the client’s configuration', () => {
  test('wrong credentials are named without the password', async () => {
    const at = database(url)
    await at.run(
      `DROP ROLE IF EXISTS ${ROLE_WITH_PASSWORD}; CREATE ROLE ${ROLE_WITH_PASSWORD} LOGIN PASSWORD 'right'`,
    )
    const pool = poolOf({
      connectionString: url.replace('postgres@', `${ROLE_WITH_PASSWORD}:wrong-password@`),
    })
    const error = await postgresStore({ pool })
      .census()
      .catch((error: unknown) => error)
    expect(error).toMatchObject({
      code: 'ERR_STORE_CONFIGURATION',
      retryable: false,
      message: expect.stringMatching(/refused the role.*correct its user or password/),
    })
    expect(inspect(error, { depth: 9 })).not.toContain('wrong-password')
    await expect(postgresStore({ pool }).migrate()).rejects.toMatchObject({ code: 'ERR_STORE_CONFIGURATION' })
  })

  test('a database that is not there is named', async () => {
    const pool = poolOf({ connectionString: url.replace(/postgres$/, 'nowhere') })
    await expect(postgresStore({ pool }).census()).rejects.toMatchObject({
      code: 'ERR_STORE_CONFIGURATION',
      message: expect.stringContaining('"nowhere" does not exist'),
    })
  })

  test('a server that is not there is unavailable, and certainly nothing was written', async () => {
    const pool = poolOf({ host: '127.0.0.1', port: await freePort() })
    await expect(postgresStore({ pool }).write(1, [creating('a')])).rejects.toMatchObject({
      code: 'ERR_STORE_UNAVAILABLE',
      retryable: true,
      message: expect.stringMatching(/no connection: .*ECONNREFUSED.*nothing was written/),
    })
  })

  test('an ended pool is named', async () => {
    const at = database(url)
    const pool = at.pool()
    const store = await at.migrated({ pool })
    await pool.end()
    await expect(store.census()).rejects.toMatchObject({
      code: 'ERR_STORE_CONFIGURATION',
      message: expect.stringContaining('the pool was ended'),
    })
  })

  test('a pool that lends no connection is told apart from a slow server', async () => {
    const at = database(url)
    const pool = at.pool({ max: 1 })
    const store = await at.migrated({ pool })
    const client = await pool.connect()
    await expect(store.census({ timeoutMs: 30 })).rejects.toMatchObject({
      code: 'ERR_STORE_UNAVAILABLE',
      message: expect.stringContaining('the pool lent no connection'),
    })
    const waiting = store.census()
    client.release()
    expect(await waiting).toEqual(new Map())
  })

  test('a read-only session reads, and says of a write that it cannot', async () => {
    const at = database(url)
    await filled(await at.migrated(), 1)
    const store = at.store({ pool: at.pool({ options: '-c default_transaction_read_only=on' }) })
    expect(await store.census()).toEqual(new Map([['v1', 1]]))
    const refused = { code: 'ERR_STORE_CONFIGURATION', message: expect.stringContaining('read-only') }
    await expect(store.write(1, [rewrapping('n0', 'v1', 'v2')])).rejects.toMatchObject(refused)
    await expect(store.writeDocument('a', 0, 'x')).rejects.toMatchObject(refused)
    await expect(store.writeDocument('keyring', 1, 'x')).rejects.toMatchObject(refused)
    await expect(store.migrate()).resolves.toBeUndefined()
  })

  test.each(['SQL_ASCII', 'LATIN1'])('a database of encoding %s is refused', async (encoding) => {
    const at = database(url)
    const name = `encoded_${randomBytes(4).toString('hex')}`
    await at.run(`CREATE DATABASE ${name} ENCODING '${encoding}' LOCALE 'C' TEMPLATE template0`)
    const pool = poolOf({ connectionString: url.replace(/postgres$/, name) })
    await expect(postgresStore({ pool }).migrate()).rejects.toMatchObject({
      code: 'ERR_STORE_CONFIGURATION',
      message: expect.stringMatching(new RegExp(`${encoding}.*ENCODING 'UTF8'`)),
    })
  })

  test('parsers and settings that the caller has chosen change nothing', async () => {
    const at = database(url)
    const types = { getTypeParser: () => () => 'parsed by the caller' } as never
    const options =
      '-c bytea_output=escape -c extra_float_digits=-15 -c TimeZone=Asia/Kolkata -c DateStyle=German'
    const store = await at.migrated({ pool: at.pool({ types, options }) })
    await useAll(store)
    expect(await store.read(['a'])).toEqual([{ ...secretOf('a', 'v2'), sealed: Buffer.alloc(92, 7) }])
    expect((await store.readDocument('keyring'))?.ageMs).toBeLessThan(60_000)
  })

  test('prepared statements do the same, also after the tables were made anew', async () => {
    const at = database(url)
    const store = await at.migrated({ preparedStatements: true })
    await useAll(store)
    await at.run(`DROP SCHEMA ${quoted(at.schema)} CASCADE`)
    await at.migrated()
    await useAll(store)
  })
})

describe('of privileges', () => {
  test('a role with exactly the documented grants can make every call, and no more', async () => {
    const at = database(url)
    const owner = await at.migrated()
    const { name, url: roleUrl } = await role(at)
    await at.run(`REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA ${quoted(at.schema)} FROM PUBLIC`)
    await at.run(grantSql({ schema: at.schema, role: name }))
    const store = at.store({ pool: at.pool({ connectionString: roleUrl }) })
    await useAll(store)
    expect(await store.identify()).toEqual(await owner.identify())
    await expect(store.renewIncarnation()).rejects.toMatchObject({ code: 'ERR_STORE_CONFIGURATION' })
    // Nothing is left to do, so no privilege is missed.
    await store.migrate()
  })

  test('each grant is needed', async () => {
    const at = database(url)
    await at.migrated()
    const { name, url: roleUrl } = await role(at)
    await at.run(`REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA ${quoted(at.schema)} FROM PUBLIC`)
    const all = grantSql({ schema: at.schema, role: name })
    const parts = [
      [`USAGE ON SCHEMA ${quoted(at.schema)}`],
      [`SELECT ON ${at.of('store')}`],
      [`UPDATE ON ${at.of('fence')}`],
      ...['documents', 'secrets'].flatMap((table) =>
        ['SELECT', 'INSERT', 'UPDATE', 'DELETE'].map((privilege) => [`${privilege} ON ${at.of(table)}`]),
      ),
      ...['guard(bigint)', 'write_document(text, bigint, text)', 'write_keyring(integer, bigint, text)'].map(
        (routine) => [`EXECUTE ON FUNCTION ${at.of(routine.split('(')[0]!)}(${routine.split('(')[1]!}`],
      ),
    ] as const
    for (const [privilege] of parts) {
      await at.run(all)
      await at.run(`TRUNCATE ${at.of('secrets')}, ${at.of('documents')}`)
      await at.run(`REVOKE ${privilege} FROM ${name}`)
      const pool = poolOf({ connectionString: roleUrl })
      const store = at.store({ pool })
      const error = await useAll(store).catch((error: unknown) => error)
      expect(error, privilege).toMatchObject({
        code: 'ERR_STORE_CONFIGURATION',
        retryable: false,
        message: expect.stringContaining('grantSql({ role })'),
      })
      await pool.end()
    }
  })

  test('a role that may not make tables is told what to run', async () => {
    const at = database(url)
    await at.run(`CREATE SCHEMA ${quoted(at.schema)}`)
    const { url: roleUrl } = await role(at)
    const store = at.store({ pool: at.pool({ connectionString: roleUrl }) })
    await expect(store.migrate()).rejects.toMatchObject({
      code: 'ERR_STORE_CONFIGURATION',
      message: expect.stringMatching(/permission denied.*migrationSql\(\)/),
    })
  })
})

describe('of a call', () => {
  test('a census that is aborted is cancelled on the server', async () => {
    const at = database(url)
    const store = await at.migrated()
    await filled(store, 1)
    await at.run(`ALTER TABLE ${at.of('secrets')} RENAME TO slow`)
    await at.run(
      `CREATE VIEW ${at.of('secrets')} AS SELECT s.* FROM ${quoted(at.schema)}.slow s CROSS JOIN LATERAL (SELECT pg_sleep(30)) p`,
    )
    const abort = new AbortController()
    const name = `census ${at.schema}`.replaceAll('"', '')
    const pool = at.pool({ application_name: name, max: 1 })
    // Longer than the test may take: only the abort can end it.
    const running = at.store({ pool }).census({ signal: abort.signal, timeoutMs: 600_000 })
    const sleeping = 'SELECT FROM pg_stat_activity WHERE application_name = $1 AND wait_event = $2'
    await until(async () => (await at.run(sleeping, [name, 'PgSleep'])).length === 1)
    abort.abort()
    await expect(running).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE', retryable: true })
    expect(await at.run(sleeping, [name, 'PgSleep'])).toEqual([])
    expect(pool.totalCount).toBe(1)
    await expect(at.store({ pool }).census({ timeoutMs: 50 })).rejects.toMatchObject({
      code: 'ERR_STORE_UNAVAILABLE',
      message: 'gave up after 50 ms; nothing was written',
    })
  })

  test('a full pool of writes that wait ends in time and leaves no connection busy', async () => {
    const at = database(url)
    const pool = at.pool({ max: 4 })
    const store = await at.migrated({ pool })
    await filled(store, 1)
    const holder = await at.client()
    await holder.query('BEGIN')
    await holder.query(`SELECT FROM ${at.of('secrets')} FOR UPDATE`)
    const calls = Array.from({ length: 12 }, () =>
      store.write(1, [rewrapping('n0', 'v1', 'v2')], { timeoutMs: 60 }),
    )
    const ended = await Promise.allSettled(calls)
    for (const { status, ...rest } of ended) {
      expect(status).toBe('rejected')
      expect((rest as { reason: unknown }).reason).toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' })
    }
    await holder.query('ROLLBACK')
    await until(() => pool.idleCount === pool.totalCount)
    expect(await store.census()).toEqual(new Map([['v1', 1]]))
  })

  test('two calls that change the same records in opposite order do not wait for each other', async () => {
    const at = database(url)
    const store = await at.migrated()
    await filled(store, 400)
    const names = Array.from({ length: 400 }, (_, n) => `n${n}`)
    for (let round = 0; round < 6; round += 1) {
      const [from, to] = [`v${round + 1}`, `v${round + 2}`] as const
      const forwards = names.map((name) => rewrapping(name, from, to))
      const mixed = names.toReversed().map((name, n) =>
        n % 2 === 0
          ? rewrapping(name, from, to)
          : ({
              kind: 'replace',
              expectedWrap: `talos:v2:${from}:${name}`,
              secret: secretOf(name, to),
            } as const),
      )
      const answers = await Promise.all(
        [forwards, mixed, forwards.toReversed()].map((changes) => store.write(1, changes)),
      )
      expect(answers.flat().filter((outcome) => outcome === 'done')).toHaveLength(400)
    }
    const [deadlocks] = await at.run<{ deadlocks: string }>(
      'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()',
    )
    console.log(`postgres: deadlocks on this server so far: ${deadlocks?.deadlocks}`)
  })

  test('no error carries names, wrap texts or values', async () => {
    const at = database(url)
    const store = await at.migrated()
    await filled(store, 1)
    await at.run(`ALTER TABLE ${at.of('secrets')} ADD CONSTRAINT refuse CHECK (name = 'n0')`)
    const canary = {
      ...secretOf('canary-name'),
      wrap: 'talos:v2:v1:canary-wrap',
      meta: '{"m":"canary-meta"}',
    }
    const error = await store.write(1, [{ kind: 'create', secret: canary }]).catch((error: unknown) => error)
    expect(error).toMatchObject({
      code: 'ERR_STORE_UNAVAILABLE',
      message: expect.stringContaining('SQLSTATE 23514'),
      cause: { constraint: 'refuse' },
    })
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('canary')
  })

  test('a statement that the server rejects as such is not to be repeated', async () => {
    const at = database(url)
    const store = await at.migrated()
    await filled(store, 1)
    await at.run(`CREATE FUNCTION "${at.schema.replaceAll('"', '""')}".broken() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN EXECUTE 'SELEC 1'; RETURN NEW; END $$;
      CREATE TRIGGER broken BEFORE INSERT ON ${at.of('secrets')}
      FOR EACH ROW EXECUTE FUNCTION "${at.schema.replaceAll('"', '""')}".broken()`)
    await expect(store.write(1, [creating('canary')])).rejects.toMatchObject({
      code: 'ERR_STORE_CONTRACT',
      retryable: false,
      message: expect.stringMatching(/SQLSTATE 42601.*nothing was written/),
    })
    expect(await store.read(['canary'])).toEqual([null])
  })

  test('a wrap text without a KEK id is misuse', async () => {
    const at = database(url)
    const store = await at.migrated()
    await filled(store, 0)
    const secret = { ...secretOf('a'), wrap: 'garbage' }
    await expect(store.write(1, [{ kind: 'create', secret }])).rejects.toThrow(TypeError)
    await expect(store.writeDocument('a', 0, 'a\0b')).rejects.toThrow(TypeError)
    const meta = { ...secretOf('a'), meta: 'a\0b' }
    await expect(store.write(1, [{ kind: 'create', secret: meta }])).rejects.toThrow(TypeError)
    await expect(store.census({ upTo: -1 })).rejects.toThrow(TypeError)
    await expect(store.census({ upToOf: { v1: 0.5 } })).rejects.toThrow(TypeError)
    for (const maxWriteStallMs of [0, Number.NaN]) {
      expect(() => at.store({ maxWriteStallMs })).toThrow(TypeError)
    }
  })

  test('a census may stop counting, and stays exact below that', async () => {
    const at = database(url)
    const store = await at.migrated()
    await filled(store, 30)
    await store.write(1, [rewrapping('n0', 'v1', 'v2'), rewrapping('n1', 'v1', 'v2')])
    expect(await store.census({ upTo: 10 })).toEqual(
      new Map([
        ['v1', 11],
        ['v2', 2],
      ]),
    )
    expect(await store.census({ upTo: 28 })).toEqual(
      new Map([
        ['v1', 28],
        ['v2', 2],
      ]),
    )
    expect(await store.census({ upTo: 0 })).toEqual(
      new Map([
        ['v1', 1],
        ['v2', 1],
      ]),
    )
    expect(await store.census({ upToOf: { v1: 10, none: 1 } })).toEqual(
      new Map([
        ['v1', 11],
        ['v2', 2],
      ]),
    )
    expect(await store.census({ upTo: 1, upToOf: { v1: 28 } })).toEqual(
      new Map([
        ['v1', 28],
        ['v2', 2],
      ]),
    )
  })
})

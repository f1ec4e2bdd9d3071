import type { PoolClient } from 'pg'
import { beforeAll, describe, expect, test } from 'vitest'
import { type ServiceName, service } from '../../../../test/services/service.ts'
import { creating, filled, rewrapping, secretOf, until } from '../../../../test/stored-secrets.ts'
import { database } from '../database.ts'

const SERVERS: readonly ServiceName[] = ['postgres-18', 'pgbouncer']
const ROLL_BACK = {
  code: 'ERR_STORE_UNAVAILABLE',
  retryable: true,
  message: expect.stringContaining('roll back the transaction and repeat it from its begin'),
}

describe.each(SERVERS)('on %s', (name) => {
  let url = ''
  beforeAll(async () => {
    url = await service(name)
  })

  async function scene(records = 2) {
    const at = database(url)
    const store = await at.migrated()
    await filled(store, records)
    await at.run(`CREATE TABLE ${at.of('business')} (id text PRIMARY KEY)`)
    const client = await at.client()
    return { at, store, client, view: store.within(client) }
  }

  test('a secret and a business row take effect together, or not at all', async () => {
    const { at, store, client, view } = await scene()
    const both = async (id: string) => {
      await client.query('BEGIN')
      await client.query(`INSERT INTO ${at.of('business')} VALUES ($1)`, [id])
      expect(await view.write(1, [creating(id)])).toEqual(['done'])
      expect((await view.read([id]))[0]?.wrap).toBe(secretOf(id).wrap)
      expect(await store.read([id])).toEqual([null])
    }
    await both('kept')
    await client.query('COMMIT')
    await both('dropped')
    await client.query('ROLLBACK')
    expect((await store.read(['kept', 'dropped'])).map((secret) => secret?.name)).toEqual(['kept', undefined])
    expect(await at.run(`SELECT id FROM ${at.of('business')}`)).toEqual([{ id: 'kept' }])
  })

  test('what a savepoint takes back was not written, and the transaction goes on', async () => {
    const { store, client, view } = await scene()
    await client.query('BEGIN; SAVEPOINT here')
    expect(await view.write(1, [creating('a')])).toEqual(['done'])
    await client.query('ROLLBACK TO SAVEPOINT here')
    expect(await view.write(1, [creating('b')])).toEqual(['done'])
    await client.query('COMMIT')
    expect((await store.read(['a', 'b'])).map((secret) => secret?.name)).toEqual([undefined, 'b'])
  })

  test('a write without a transaction is refused and says what to run', async () => {
    const { store, client, view } = await scene()
    await expect(view.write(1, [creating('a')])).rejects.toMatchObject({
      code: 'ERR_STORE_CONFIGURATION',
      message: expect.stringContaining('run BEGIN'),
    })
    expect(await store.read(['a'])).toEqual([null])
    await client.query('BEGIN')
    expect(await view.write(1, [creating('a')])).toEqual(['done'])
    await client.query('COMMIT')
  })

  test('the keyring document is not written there; other documents are', async () => {
    const { client, view } = await scene()
    await client.query('BEGIN')
    await expect(view.writeDocument('keyring', 1, '{}')).rejects.toThrow(TypeError)
    expect(await view.writeDocument('mine', 0, 'x')).toBe(1)
    expect((await view.readDocument('mine'))?.value).toBe('x')
    expect((await view.listDocuments({ prefix: 'mine', cursor: null, limit: 1 })).items).toHaveLength(1)
    expect((await view.scan({ cursor: null, limit: 1 })).items).toHaveLength(1)
    expect(await view.shards!(8)).toHaveLength(1)
    expect(await view.census()).toEqual(new Map([['v1', 2]]))
    await client.query('COMMIT')
  })

  test('a deadlock, a lock timeout and a cancelled statement say: roll back and repeat', async () => {
    const { at, store, client, view } = await scene(4)
    const other = await at.client()
    const begin = (each: PoolClient, setting = '') =>
      each.query(`BEGIN; SET LOCAL deadlock_timeout = '10ms'; ${setting}`)
    await begin(client)
    await begin(other)
    expect(await view.write(1, [rewrapping('n0', 'v1', 'v2')])).toEqual(['done'])
    const second = store.within(other)
    expect(await second.write(1, [rewrapping('n1', 'v1', 'v2')])).toEqual(['done'])
    const crossed = await Promise.allSettled([
      view.write(1, [rewrapping('n1', 'v1', 'v3')]).then(() => client.query('COMMIT')),
      second.write(1, [rewrapping('n0', 'v1', 'v3')]).then(() => other.query('COMMIT')),
    ])
    const failed = crossed.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []))
    expect(failed).toHaveLength(1)
    expect(failed[0]).toMatchObject(ROLL_BACK)
    await Promise.all([client.query('ROLLBACK'), other.query('ROLLBACK')])
    expect((await store.census()).get('v2')).toBe(1)

    await begin(other)
    await other.query(`SELECT FROM ${at.of('secrets')} FOR UPDATE`)
    const change = [rewrapping('n2', 'v1', 'v4'), rewrapping('n3', 'v1', 'v4')]
    await begin(client, "SET LOCAL lock_timeout = '20ms'")
    await expect(view.write(1, change)).rejects.toMatchObject(ROLL_BACK)
    await client.query('ROLLBACK')
    await begin(client, "SET LOCAL statement_timeout = '20ms'")
    await expect(view.write(1, change)).rejects.toMatchObject(ROLL_BACK)
    await client.query('ROLLBACK')
    await begin(client)
    await expect(view.write(1, change, { timeoutMs: 20 })).rejects.toMatchObject(ROLL_BACK)
    await expect(view.read(['n0'])).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' })
    await client.query('ROLLBACK')
    await other.query('ROLLBACK')
  })

  test('a transaction whose connection is lost has written nothing', async () => {
    const { at, store, client, view } = await scene()
    await client.query('BEGIN')
    expect(await view.write(1, [creating('a')])).toEqual(['done'])
    const [{ pid }] = (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows as [
      { pid: number },
    ]
    await at.run('SELECT pg_terminate_backend($1)', [pid])
    await until(async () => (await at.run('SELECT FROM pg_stat_activity WHERE pid = $1', [pid])).length === 0)
    await expect(view.write(1, [creating('b')])).rejects.toMatchObject(ROLL_BACK)
    expect(await store.read(['a', 'b'])).toEqual([null, null])
  })

  test('a store of one connection is not kept from its first call by the application that holds it', async () => {
    const { at } = await scene()
    const pool = at.pool({ max: 1 })
    const store = at.store({ pool })
    const client = await pool.connect()
    await client.query('BEGIN')
    expect(await store.within(client).write(1, [creating('a')])).toEqual(['done'])
    await client.query('COMMIT')
    client.release()
    expect((await store.read(['a']))[0]?.name).toBe('a')
  })
})

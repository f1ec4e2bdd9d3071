import type { Pool } from 'pg'
import { beforeAll, describe, expect, test } from 'vitest'
import { type ServiceName, service } from '../../../../test/services/service.ts'
import { creating, filled, rewrapping, until } from '../../../../test/stored-secrets.ts'
import { type Database, database } from '../database.ts'

const ISOLATION = ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'] as const

/** Waits until a lock on the fence is waited for. */
function waiting(at: Database, mode: 'ShareLock' | 'RowExclusiveLock'): Promise<void> {
  return until(async () => {
    const sql = 'SELECT FROM pg_locks WHERE NOT granted AND mode = $1 AND relation = to_regclass($2)'
    return (await at.run(sql, [mode, at.of('fence')])).length > 0
  })
}

/** A pool whose connections have another isolation by default, as roles and databases can. */
function isolated(at: Database, isolation: string): Pool {
  return at.pool({
    options: `-c default_transaction_isolation=${isolation.toLowerCase().replace(' ', '\\ ')}`,
  })
}

const SERVERS: readonly ServiceName[] = ['postgres-18', 'postgres-15']

describe.each(SERVERS)('on %s', (name) => {
  let url = ''
  beforeAll(async () => {
    url = await service(name)
  })

  describe.each(ISOLATION)('in %s', (isolation) => {
    test('[GUARD-3] the fence waits for a transaction of the application that has written', async () => {
      const at = database(url)
      const store = await at.migrated()
      await filled(store, 1)
      const client = await at.client()
      await client.query(`BEGIN ISOLATION LEVEL ${isolation}`)
      const view = store.within(client)
      expect(await view.write(1, [creating('inside'), rewrapping('n0', 'v1', 'old')])).toEqual([
        'done',
        'done',
      ])
      let committed = false
      const fence = store
        .writeDocument('keyring', 1, '{"epoch":2}')
        .then((revision) => ({ revision, committed }))
      await waiting(at, 'ShareLock')
      expect((await store.readDocument('keyring'))?.revision).toBe(1)
      committed = true
      await client.query('COMMIT')
      expect(await fence).toEqual({ revision: 2, committed: true })
      expect(await store.census()).toEqual(
        new Map([
          ['v1', 1],
          ['old', 1],
        ]),
      )
    })

    test('[GUARD-3] a transaction that was open before the fence writes nothing under the old KEK after it', async () => {
      const at = database(url)
      const store = await at.migrated()
      await filled(store, 1)
      const client = await at.client()
      await client.query(`BEGIN ISOLATION LEVEL ${isolation}`)
      // Takes the snapshot, in which the keyring document stays at its old revision for ever.
      await client.query('SELECT count(*) FROM pg_class')
      expect(await store.writeDocument('keyring', 1, '{"epoch":2}')).toBe(2)
      const written = store.within(client).write(1, [creating('late'), rewrapping('n0', 'v1', 'old')])
      if (isolation === 'READ COMMITTED') {
        expect(await written).toEqual(['fenced', 'fenced'])
      } else {
        await expect(written).rejects.toMatchObject({
          code: 'ERR_STORE_UNAVAILABLE',
          retryable: true,
          message: expect.stringContaining('roll back the transaction and repeat it'),
        })
      }
      await client.query('COMMIT')
      expect(await store.census()).toEqual(new Map([['v1', 1]]))
    })

    test('[GUARD-3] the fence waits for a write of the store that is held up behind its guard', async () => {
      const at = database(url)
      const store = await at.migrated()
      await filled(store, 1)
      const holder = await at.client()
      await holder.query('BEGIN')
      await holder.query(`SELECT FROM ${at.of('secrets')} FOR UPDATE`)
      const writer = at.store({ pool: isolated(at, isolation) })
      const writing = writer.write(1, [rewrapping('n0', 'v1', 'old')])
      const locked = 'SELECT FROM pg_locks WHERE granted AND mode = $1 AND relation = to_regclass($2)'
      await until(async () => (await at.run(locked, ['RowExclusiveLock', at.of('fence')])).length > 0)
      const fence = store.writeDocument('keyring', 1, '{"epoch":2}')
      await waiting(at, 'ShareLock')
      await holder.query('ROLLBACK')
      expect(await writing).toEqual(['done'])
      expect(await fence).toBe(2)
      expect(await writer.write(1, [creating('late')])).toEqual(['fenced'])
    })

    test('[GUARD-3] a write of the store that waits behind the fence sees what the fence has changed', async () => {
      const at = database(url)
      const store = await at.migrated()
      await filled(store, 1)
      const client = await at.client()
      await client.query('BEGIN')
      await store.within(client).write(1, [creating('first')])
      // Waits once and for long: an attempt of the store steps back after 200 ms and lets the writer through.
      const fencing = await at.client()
      const fence = fencing.query(`SELECT ${at.of('write_keyring')}(60000, 1, '{"epoch":2}') AS revision`)
      await waiting(at, 'ShareLock')
      const writer = at.store({ pool: isolated(at, isolation) })
      const writing = writer.write(1, [creating('late'), rewrapping('n0', 'v1', 'old')])
      await waiting(at, 'RowExclusiveLock')
      await client.query('COMMIT')
      expect((await fence).rows).toEqual([{ revision: '2' }])
      expect(await writing).toEqual(['fenced', 'fenced'])
      expect(await store.census()).toEqual(new Map([['v1', 2]]))
    })
  })

  test('a fence that does not get through names the sessions in its way and has changed nothing', async () => {
    const at = database(url)
    const store = await at.migrated()
    await filled(store, 1)
    const client = await at.client()
    await client.query("BEGIN; SET application_name = 'nightly import'")
    await store.within(client).write(1, [creating('inside')])
    const [{ pid }] = (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows as [
      { pid: number },
    ]
    const fence = store.writeDocument('keyring', 1, '{"epoch":2}', { timeoutMs: 700 })
    await expect(fence).rejects.toMatchObject({
      code: 'ERR_STORE_UNAVAILABLE',
      retryable: true,
      message: expect.stringMatching(
        new RegExp(`${pid} \\(nightly import\\), open for .*pg_terminate_backend`),
      ),
    })
    expect((await store.readDocument('keyring'))?.revision).toBe(1)
    expect(await store.write(1, [creating('meanwhile')])).toEqual(['done'])
    await client.query('COMMIT')
    expect(await store.writeDocument('keyring', 1, '{"epoch":2}')).toBe(2)
  })

  test('a fence that is aborted while it waits has changed nothing', async () => {
    const at = database(url)
    const store = await at.migrated()
    await filled(store, 0)
    const client = await at.client()
    await client.query('BEGIN')
    await store.within(client).write(1, [creating('inside')])
    const abort = new AbortController()
    const fence = store.writeDocument('keyring', 1, '{"epoch":2}', { signal: abort.signal })
    await waiting(at, 'ShareLock')
    abort.abort()
    await expect(fence).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE', retryable: true })
    await client.query('COMMIT')
    expect((await store.readDocument('keyring'))?.revision).toBe(1)
  })
})

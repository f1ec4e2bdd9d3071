import { postgresStore } from '@talos/envelope-postgres'
import { beforeAll, expect, test } from 'vitest'
import { service } from '../../../../test/services/service.ts'
import { database } from '../database.ts'
import { creating, filled, rewrapping } from '../records.ts'

const COUNT = 300

let url = ''
beforeAll(async () => {
  url = await service('postgres-18')
})

/** A store with records of which the last one is locked by a transaction of somebody else. */
async function scene(connections: number) {
  const at = database(url)
  await filled(await at.migrated(), COUNT)
  const pool = at.pool({ max: connections })
  const store = postgresStore({ pool, schema: at.schema })
  const client = await at.client()
  const lock = async () => {
    await client.query('BEGIN')
    await client.query(`SELECT FROM ${at.of('secrets')} WHERE name = $1 FOR UPDATE`, [`n${COUNT - 1}`])
  }
  const changes = Array.from({ length: COUNT }, (_, n) => rewrapping(`n${n}`, 'v1', 'v2'))
  return { store, client, lock, changes }
}

test('many changes take effect over two connections, with their outcomes in the order of the changes', async () => {
  const { store, changes } = await scene(2)
  await store.write(1, [rewrapping('n3', 'v1', 'v2'), rewrapping(`n${COUNT - 2}`, 'v1', 'v3')])
  const outcomes = await store.write(1, [...changes, creating('new'), rewrapping('gone', 'v1', 'v2')])
  expect(outcomes[3]).toBe('already')
  expect(outcomes[COUNT - 2]).toBe('changed')
  expect(outcomes.slice(COUNT)).toEqual(['done', 'missing'])
  expect(outcomes.filter((outcome) => outcome === 'done')).toHaveLength(COUNT - 1)
})

test('a write of which one half fails says that its outcome is unknown, and may be repeated', async () => {
  const { store, client, lock, changes } = await scene(2)
  await lock()
  await expect(store.write(1, changes, { timeoutMs: 1_000 })).rejects.toMatchObject({
    code: 'ERR_STORE_OUTCOME_UNKNOWN',
    retryable: true,
    message: '150 of 300 changes were decided, the others may not be; repeat the call',
  })
  await client.query('ROLLBACK')
  const outcomes = await store.write(1, changes)
  expect(outcomes.slice(0, 150)).toEqual(Array.from({ length: 150 }, () => 'already'))
  expect(outcomes.slice(150)).toEqual(Array.from({ length: 150 }, () => 'done'))
})

test('over one connection many changes take effect together, or not at all', async () => {
  const { store, client, lock, changes } = await scene(1)
  await lock()
  await expect(store.write(1, changes, { timeoutMs: 1_000 })).rejects.toMatchObject({
    code: 'ERR_STORE_UNAVAILABLE',
  })
  await client.query('ROLLBACK')
  expect(await store.census()).toEqual(new Map([['v1', COUNT]]))
})

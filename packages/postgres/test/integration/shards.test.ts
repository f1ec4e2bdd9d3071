import type { SecretStore } from '@talos/envelope'
import type { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PostgresServer } from '../../../../test/services/postgres-server.ts'
import { npmPostgres } from '../../../../test/services/programs.ts'
import { type Database, database } from '../database.ts'

const RECORDS = 200_000
const LIMIT = 256

const ORDERS = [
  ['in the order of their names', `lpad(n::text, 8, '0')`],
  ['in no order', 'md5(n::text)'],
] as const

/** A server of its own: an older transaction of anybody else keeps a page from marking the dead index entries it passes. */
let server: PostgresServer
beforeAll(async () => {
  server = await PostgresServer.start(npmPostgres(), { settings: { autovacuum: 'off' } })
})
afterAll(() => server.stop())

/** Fills the table behind the store's back, half of it under each of two KEKs, and no statistics of it. */
async function fill(at: Database, name: string): Promise<void> {
  await at.run(
    `INSERT INTO ${at.of('secrets')} (name, wrap, meta, sealed)
    SELECT ${name}, 'talos:v2:v' || 1 + n % 2 || ':' || repeat(md5(n::text), 4), repeat('m', 120), decode(repeat('07', 92), 'hex')
    FROM generate_series(1, ${RECORDS}) AS n`,
  )
}

/**
 * What the statements of one call cost by `EXPLAIN (ANALYZE, BUFFERS)`: blocks of the table and its indexes that were looked at.
 * The call itself has come first and marked the dead index entries on its way.
 */
async function costOf(pool: Pool, call: () => Promise<unknown>): Promise<{ blocks: number; ms: number }> {
  const client = await pool.connect()
  client.release()
  const run = client.query
  const statements: { text: string; values: unknown[] }[] = []
  Object.assign(client, {
    query(statement: { text: string; values: unknown[] }) {
      statements.push(statement)
      return Reflect.apply(run, client, [statement])
    },
  })
  await call()
  Object.assign(client, { query: run })
  let [blocks, ms] = [0, 0]
  for (const { text, values } of statements) {
    const { rows } = await pool.query(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`, values)
    const [{ Plan: plan, 'Execution Time': time }] = rows[0]['QUERY PLAN']
    blocks += plan['Shared Hit Blocks'] + plan['Shared Read Blocks']
    ms += time
  }
  expect(statements).toHaveLength(1)
  return { blocks, ms }
}

async function sizesOf(store: SecretStore, shards: readonly string[]): Promise<number[]> {
  return Promise.all(
    shards.map(async (shard) => {
      let size = 0
      let cursor: string | null = null
      do {
        const page = await store.scan({ cursor, limit: 1_000, shard })
        size += page.items.length
        cursor = page.next
      } while (cursor !== null)
      return size
    }),
  )
}

describe.each(ORDERS)('200,000 records that came %s', (order, name) => {
  test('are divided evenly, and a page of a shard costs what a page of everything costs', {
    timeout: 120_000,
  }, async () => {
    const at = database(server.url())
    const pool = at.pool({ max: 1 })
    const store = await at.migrated({ pool })
    await fill(at, name)
    for (const analysed of [false, true]) {
      if (analysed) await at.run(`VACUUM ANALYZE ${at.of('secrets')}`)
      const began = performance.now()
      const shards = await store.shards!(8)
      const tookMs = performance.now() - began
      const sizes = await sizesOf(store, shards)
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(RECORDS)
      expect(shards).toHaveLength(8)
      expect(Math.max(...sizes)).toBeLessThan((1.5 * RECORDS) / 8)
      const dividing = await costOf(pool, () => store.shards!(8))

      const shard = shards[4]!
      const query = { cursor: null, limit: LIMIT, exceptKekId: 'v2' }
      const everything = await costOf(pool, () => store.scan(query))
      const first = await costOf(pool, () => store.scan({ ...query, shard }))
      const end = Buffer.from(shard.split('.')[1]!, 'base64url').toString()
      // Ten names before its end: the rest of the page must not be looked for in the shards behind it.
      const [before] = await at.run<{ name: string }>(
        `SELECT name FROM ${at.of('secrets')} WHERE name < $1 ORDER BY name DESC OFFSET 10 LIMIT 1`,
        [end],
      )
      const last = await costOf(pool, () => store.scan({ ...query, shard, cursor: before!.name }))
      console.log(
        `${order}, ${analysed ? 'analysed' : 'no statistics'}: shards(8) ${tookMs.toFixed(0)} ms, ${dividing.blocks} blocks, ` +
          `${Math.min(...sizes)} to ${Math.max(...sizes)} records each; a stale page of ${LIMIT}: everything ${everything.blocks} ` +
          `blocks ${everything.ms.toFixed(2)} ms, in a shard ${first.blocks} blocks ${first.ms.toFixed(2)} ms, ` +
          `at its end ${last.blocks} blocks ${last.ms.toFixed(2)} ms`,
      )
      expect(first.blocks).toBeLessThan(1.5 * everything.blocks)
      expect(last.blocks).toBeLessThan(1.5 * everything.blocks)
    }
    // What was re-wrapped stays in the index until it is vacuumed; the end of a shard is not behind all of it.
    await at.run(
      `UPDATE ${at.of('secrets')} SET wrap = replace(wrap, ':v1:', ':v2:')
      WHERE kek_id = 'v1' AND name < (SELECT name FROM ${at.of('secrets')} ORDER BY name DESC OFFSET 20 LIMIT 1)`,
    )
    const [shard = ''] = (await store.shards!(8)).slice(2)
    const query = { limit: LIMIT, exceptKekId: 'v2' }
    const begin = Buffer.from(shard.split('.')[0]!, 'base64url').toString()
    const inShard = await costOf(pool, () => store.scan({ ...query, cursor: null, shard }))
    const beyond = await costOf(pool, () => store.scan({ ...query, cursor: begin }))
    console.log(
      `${order}, re-wrapped and not vacuumed: the page that finds nothing stale in a shard ${inShard.blocks} blocks ` +
        `${inShard.ms.toFixed(2)} ms, without the end of the shard ${beyond.blocks} blocks ${beyond.ms.toFixed(2)} ms`,
    )
    expect(inShard.blocks).toBeLessThan(0.75 * beyond.blocks)
  })
})

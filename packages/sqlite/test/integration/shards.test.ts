import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { DatabaseSync } from 'node:sqlite'
import { sqliteStore } from '@talos/envelope-sqlite'
import { expect, test } from 'vitest'
import { databaseFile } from '../database-file.ts'
import { RecordingDatabase } from '../recording-database.ts'

const RECORDS = 200_000

/** Fills the tables behind the store's back: two thirds under `v1`, the others under `v2`. */
function fill(database: DatabaseSync): void {
  database.exec(`BEGIN;
    INSERT INTO talos_sealed (id, sealed) VALUES (1, zeroblob(92));
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${RECORDS})
    INSERT INTO talos_secrets (name, wrap, meta, kek_id, sealed_id)
    SELECT printf('%08x', (n * 2654435761) % 4294967296), 'talos:v2:v' || (1 + (n % 3 = 0)) || ':' || hex(zeroblob(60)), '{}',
      'v' || (1 + (n % 3 = 0)), 1 FROM numbers;
    COMMIT`)
}

test('200,000 records are divided evenly, in short steps, and each page of a shard reads what it answers', {
  timeout: 60_000,
}, async () => {
  const file = databaseFile()
  await file.migrated()
  const database = file.connect()
  fill(database)
  const recording = new RecordingDatabase(database)
  const store = sqliteStore({ database: recording })
  await store.identify()

  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const began = performance.now()
  const shards = await store.shards!(32)
  const tookMs = performance.now() - began
  delay.disable()
  const sizes: number[] = []
  for (const shard of shards) {
    let size = 0
    for (let cursor: string | null = null, first = true; first || cursor !== null; first = false) {
      const page = await store.scan({ cursor, limit: 1_000, shard })
      size += page.items.length
      cursor = page.next
    }
    sizes.push(size)
  }
  expect(shards).toHaveLength(32)
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(RECORDS)
  expect(Math.max(...sizes)).toBeLessThan((1.2 * RECORDS) / 32)

  recording.run = []
  const time = async (shard?: string) => {
    const from = performance.now()
    const query = { cursor: null, limit: 256, exceptKekId: 'v2' }
    await store.scan(shard === undefined ? query : { ...query, shard })
    return performance.now() - from
  }
  const [shard = ''] = shards.slice(20)
  const everythingMs = await time()
  const inShardMs = await time(shard)
  console.log(
    `SQLite: shards(32) of ${RECORDS} records ${tookMs.toFixed(0)} ms, longest stop of the event loop ${(delay.max / 1e6).toFixed(1)} ms, ` +
      `${Math.min(...sizes)} to ${Math.max(...sizes)} records each; a stale page of 256: everything ${everythingMs.toFixed(2)} ms, ` +
      `in a shard ${inShardMs.toFixed(2)} ms`,
  )
  const bounded = recording.run.filter((sql) => sql.includes('name <= ?'))
  expect(bounded).not.toEqual([])
  for (const sql of bounded) {
    const plan = database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all() as { detail: string }[]
    for (const { detail } of plan) expect(detail).not.toMatch(/SCAN|TEMP B-TREE/)
    expect(plan.map(({ detail }) => detail).join('\n')).toContain('(kek_id=? AND name>? AND name<?)')
  }
})

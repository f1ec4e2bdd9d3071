import { sqliteStore } from '@talos/envelope-sqlite'
import { expect, test } from 'vitest'
import { databaseFile } from '../database-file.ts'
import { RecordingDatabase } from '../recording-database.ts'
import { creating, filled, rewrapping, secretOf } from '../records.ts'

async function recordedStore(records: number) {
  const file = databaseFile()
  const recording = new RecordingDatabase(file.connect())
  const store = sqliteStore({ database: recording })
  await store.migrate()
  await filled(store, records)
  recording.run = []
  return { file, recording, store }
}

test('a call of 1,000 changes takes four transactions of at most 256', async () => {
  const { recording, store } = await recordedStore(1_000)
  await store.write(
    1,
    Array.from({ length: 1_000 }, (_, n) => rewrapping(`n${n}`, 'v1', 'v2')),
  )
  expect(recording.writes().map((statements) => statements.length)).toEqual([256, 256, 256, 232])
})

test('a call with much sealed data is split by its bytes', async () => {
  const { recording, store } = await recordedStore(0)
  const megabyte = Array.from({ length: 10 }, (_, n) => creating(secretOf(`m${n}`, 'v1', 1_048_576)))
  expect(await store.write(1, megabyte)).toEqual(megabyte.map(() => 'done'))
  expect(recording.writes().map((statements) => statements.length / 2)).toEqual([4, 4, 2])
})

test('writes that arrive together share one transaction', async () => {
  const { recording, store } = await recordedStore(300)
  const outcomes = await Promise.all(
    Array.from({ length: 300 }, (_, n) => store.write(1, [rewrapping(`n${n}`, 'v1', 'v2')])),
  )
  expect(outcomes.flat()).toEqual(outcomes.map(() => 'done'))
  expect(recording.writes().map((statements) => statements.length)).toEqual([256, 44])
})

test('a re-wrap is one statement, and no scan, census or re-wrap reads the table of the sealed bytes', async () => {
  const { recording, store } = await recordedStore(300)
  await store.scan({ cursor: null, limit: 100 })
  await store.scan({ cursor: null, limit: 100, exceptKekId: 'v2' })
  await store.census()
  await store.write(1, [rewrapping('n0', 'v1', 'v2')])
  expect(recording.writes()).toEqual([[expect.stringMatching(/^UPDATE talos_secrets/)]])
  expect(recording.run.filter((sql) => sql.includes('talos_sealed'))).toEqual([])
})

test('census and stale scan are answered by the index, in its order', async () => {
  const { file, recording, store } = await recordedStore(300)
  await store.write(1, [rewrapping('n0', 'v1', 'v2'), rewrapping('n1', 'v1', 'v3')])
  const plan = (sql: string | undefined) =>
    file
      .connect()
      .prepare(`EXPLAIN QUERY PLAN ${sql}`)
      .all()
      .map(({ detail }) => String(detail))
  recording.run = []
  await store.census()
  await store.scan({ cursor: null, limit: 100, exceptKekId: 'v3' })
  const census = plan(recording.run.find((sql) => sql.includes('count(*)')))
  expect(census).toEqual(['SCAN talos_secrets USING COVERING INDEX talos_secrets_by_kek'])
  const page = plan(recording.run.find((sql) => sql.includes('UNION ALL') && sql.includes('meta')))
  expect(page[0]).toBe('MERGE (UNION ALL)')
  expect(page.join()).not.toContain('TEMP B-TREE')
  expect(page.filter((step) => step.includes('talos_secrets_by_kek (kek_id=? AND name>?)'))).toHaveLength(2)
})

test('a call that is aborted between two transactions says that its outcome is unknown, and may be repeated', async () => {
  const { file, store } = await recordedStore(600)
  const abort = new AbortController()
  const changes = Array.from({ length: 600 }, (_, n) => rewrapping(`n${n}`, 'v1', 'v2'))
  const observer = file.connect().prepare("SELECT count(*) AS moved FROM talos_secrets WHERE kek_id = 'v2'")
  const ended = store.write(1, changes, { signal: abort.signal }).catch((error: unknown) => error)
  while (observer.get()?.['moved'] === 0) await new Promise((resolve) => setImmediate(resolve))
  abort.abort()
  expect(await ended).toMatchObject({ code: 'ERR_STORE_OUTCOME_UNKNOWN', retryable: true })
  expect(observer.get()).toEqual({ moved: 256 })
  const outcomes = await store.write(1, changes)
  expect(outcomes.map((outcome) => outcome === 'already')).toEqual(changes.map((_, n) => n < 256))
})

test('misuse is a TypeError that names a position and no content', async () => {
  const { store } = await recordedStore(1)
  const twice = [creating(secretOf('same')), rewrapping('same', 'v1', 'v2')]
  await expect(store.write(1, twice)).rejects.toThrow(/^changes\[1\]: its name occurs twice/)
  const many = Array.from({ length: 1_001 }, (_, n) => creating(secretOf(`many ${n}`)))
  await expect(store.write(1, many)).rejects.toThrow(TypeError)
  for (const name of ['', 'x'.repeat(513), 'a\0b', '\ud800']) {
    await expect(store.write(1, [creating({ ...secretOf('a'), name })])).rejects.toThrow(TypeError)
    await expect(store.read([name])).rejects.toThrow(TypeError)
  }
  const noBytes = { ...secretOf('a'), sealed: Array.from({ length: 92 }, () => 0) as unknown as Uint8Array }
  await expect(store.write(1, [creating(noBytes)])).rejects.toThrow(TypeError)
  for (const sealedBytes of [27, 1_048_605]) {
    await expect(store.write(1, [creating(secretOf('a', 'v1', sealedBytes))])).rejects.toThrow(TypeError)
  }
  await expect(store.writeDocument('', 0, 'x')).rejects.toThrow(TypeError)
  await expect(store.writeDocument('a', 0, 'x'.repeat(65_537))).rejects.toThrow(TypeError)
  await expect(store.scan({ cursor: null, limit: 0 })).rejects.toThrow(TypeError)
})

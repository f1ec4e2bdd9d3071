import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { createCodec, explicitKeys } from '@talos/envelope'
import { openSqliteDatabase, type SqliteStore, sqliteStore } from '@talos/envelope-sqlite'
import { sampleValue } from '../codec/sample.ts'
import type { Comparison, Heat } from '../measure/report.ts'
import type { Contender } from '../measure/rounds.ts'
import { LOOP_KEK_ID, Rotations, recordContext, recordMeta, recordName } from './rotations.ts'

const SMALL = { prefix: 'small_', records: 100_000, valueBytes: 64, size: '400B' }
const LARGE = { prefix: 'large_', records: 20_000, valueBytes: 8_192, size: '8KiB' }
const LOOP_RECORDS = 3_000
const LOOP_TRANSACTION = 1_000
const CALLS = 400
const SEALED = Buffer.alloc(28).toString('base64url')

/**
 * The figures of the PostgreSQL store for the SQLite store: rotations, and `get` and `put`.
 *
 * @returns One heat, its file filled.
 */
export async function* sqliteHeats(): AsyncGenerator<Heat> {
  const folder = mkdtempSync(join(tmpdir(), 'sqlite-'))
  const removeFolder = () => rmSync(folder, { recursive: true, force: true })
  const leave = () => process.exit(130)
  process.once('exit', removeFolder).once('SIGINT', leave).once('SIGTERM', leave)
  const database = openSqliteDatabase(join(folder, 'secrets.db'))
  try {
    const small = await bench(database, SMALL)
    const large = await bench(database, LARGE)
    const contenders = [
      small.bareUpdate(),
      small.rewrap(),
      small.loop('transaction', LOOP_TRANSACTION),
      small.loop('commitEach', 1),
      large.bareUpdate(),
      large.rewrap(),
    ].map((contender) => ({ ...contender, calls: 1 }))
    yield { title: '', contenders, comparisons: sqliteRewrapComparisons() }
    yield* accessHeats(database, small.store, small.rotations)
    await large.rotations.close()
  } finally {
    database.close()
    process
      .removeListener('exit', removeFolder)
      .removeListener('SIGINT', leave)
      .removeListener('SIGTERM', leave)
    removeFolder()
  }
}

/** Lists the ratios of rotations. */
export function sqliteRewrapComparisons(): readonly Comparison[] {
  const ours = ['sqlite rewrap 400B']
  const large = ['sqlite rewrap 8KiB']
  return [
    { name: 'sqlite/rewrap/400B/bareUpdate', ours, theirs: ['sqlite bare UPDATE 400B'] },
    { name: 'sqlite/rewrap/400B/loop/transaction', ours, theirs: ['sqlite loop transaction'] },
    { name: 'sqlite/rewrap/400B/loop/commitEach', ours, theirs: ['sqlite loop commitEach'] },
    { name: 'sqlite/rewrap/8KiB/bareUpdate', ours: large, theirs: ['sqlite bare UPDATE 8KiB'] },
    { name: 'sqlite/rewrap/8KiB/400B', ours: large, theirs: ours },
  ]
}

/** Lists the ratios of `get` and `put`. */
export function sqliteAccessComparisons(): readonly Comparison[] {
  return ['get', 'put'].map((verb) => ({
    name: `sqlite/${verb}/400B/byHand`,
    ours: [`sqlite ${verb}`],
    theirs: [`sqlite ${verb} by hand`],
    tells: 'time',
  }))
}

async function bench(database: DatabaseSync, rows: typeof SMALL) {
  const { prefix, records, valueBytes, size } = rows
  const store: SqliteStore = sqliteStore({ database, tablePrefix: prefix })
  await store.migrate()
  const rotations = new Rotations()
  await rotations.fill(store, records, valueBytes)
  const table = `${prefix}secrets`
  let isMarked = false
  const replaceLetter = (letter: string) => {
    const wrap = `substr(wrap, 1, 9) || '${letter}' || substr(wrap, 11)`
    database.exec(`UPDATE ${table} SET wrap = ${wrap}, kek_id = '${letter}' || substr(kek_id, 2)`)
    isMarked = letter === 'z'
  }
  const settle = async () => {
    await rotations.close()
    if (isMarked) replaceLetter('k')
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  }
  return {
    store,
    rotations,
    bareUpdate: (): Contender => ({
      name: `sqlite bare UPDATE ${size}`,
      values: records,
      prepare: settle,
      run: () => replaceLetter('z'),
    }),
    rewrap: (): Contender => ({
      name: `sqlite rewrap ${size}`,
      values: records,
      prepare: async () => {
        await settle()
        await rotations.promoteNext(store)
      },
      run: () => rotations.run(),
    }),
    loop: (name: string, perTransaction: number): Contender => ({
      name: `sqlite loop ${name}`,
      values: LOOP_RECORDS,
      prepare: settle,
      run: () => loop(database, table, rotations, perTransaction),
    }),
  }
}

/** What a service without this library would do: read a page, and re-wrap and update its rows one by one. */
async function loop(
  database: DatabaseSync,
  table: string,
  { keks, currentKekId }: Rotations,
  perTransaction: number,
): Promise<void> {
  // The loop before this one may have left the rows under its KEK.
  const first = database.prepare(`SELECT kek_id FROM ${table} WHERE name = ?`).get(recordName(0))
  const target = (first as { kek_id: string }).kek_id === LOOP_KEK_ID ? currentKekId : LOOP_KEK_ID
  const codec = await createCodec({ keys: explicitKeys({ keks, currentKekId: target }) })
  const meta = recordMeta('2026-01-02T00:00:00.000Z')
  const page = database.prepare(`SELECT name, wrap, meta FROM ${table} WHERE name > ? ORDER BY name LIMIT ?`)
  const update = database.prepare(
    `UPDATE ${table} SET wrap = ?, meta = ?, kek_id = ? WHERE name = ? AND wrap = ?`,
  )
  let last = ''
  for (let done = 0; done < LOOP_RECORDS; done += LOOP_TRANSACTION) {
    const rows = page.all(last, LOOP_TRANSACTION) as { name: string; wrap: string }[]
    last = rows.at(-1)?.name ?? ''
    if (perTransaction > 1) database.exec('BEGIN IMMEDIATE')
    for (const { name, wrap } of rows) {
      const envelope = await codec.rewrap(`${wrap}:${SEALED}`, recordContext(name))
      const next = envelope.slice(0, envelope.lastIndexOf(':'))
      const { changes } = update.run(next, meta, target, name, wrap)
      if (Number(changes) !== 1 || next === wrap) throw new Error('The loop did not re-wrap a row.')
    }
    if (perTransaction > 1) database.exec('COMMIT')
  }
}

async function* accessHeats(
  database: DatabaseSync,
  store: SqliteStore,
  rotations: Rotations,
): AsyncGenerator<Heat> {
  await rotations.promoteNext(store)
  await rotations.run()
  const { vault } = rotations
  const value = sampleValue(SMALL.valueBytes)
  database.exec('CREATE TABLE by_hand (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID')
  database.exec(`INSERT INTO by_hand SELECT name, '${value}' FROM ${SMALL.prefix}secrets`)
  const select = database.prepare('SELECT name, value FROM by_hand WHERE name = ?')
  const upsert = database.prepare(
    'INSERT INTO by_hand VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
  )
  const contenders: readonly Contender[] = [
    timed('sqlite get', (name) => vault.get(name)),
    timed('sqlite get by hand', (name) => select.get(name)),
    timed('sqlite put', (name) => vault.put(name, value)),
    timed('sqlite put by hand', (name) => upsert.run(name, value)),
  ]
  yield { title: '', contenders, comparisons: sqliteAccessComparisons() }
  await rotations.close()
}

/** A contender that goes through names in an order that is not that of the table. */
function timed(name: string, run: (name: string) => unknown): Contender {
  let turn = 0
  const next = () => {
    turn += 1
    return run(recordName((turn * 7919) % SMALL.records))
  }
  return { name, run: next, calls: CALLS, p50: true }
}

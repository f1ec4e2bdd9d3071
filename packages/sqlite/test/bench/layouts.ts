/**
 * Compares ways to lay secrets out in SQLite tables, as ratios to the one the store uses. The figures of
 * docs/stores/sqlite.md come from it.
 *
 *     node packages/sqlite/test/bench/layouts.ts [records] [rounds]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'

const RECORDS = Number(process.argv[2] ?? 20_000)
const ROUNDS = Number(process.argv[3] ?? 5)
const BATCH = 256

const KEK_ID = "substr(wrap, 10, instr(substr(wrap, 10), ':') - 1)"
const CHECKED = `kek_id TEXT NOT NULL CHECK (kek_id = ${KEK_ID})`
const generated = (how: string) => `kek_id TEXT NOT NULL GENERATED ALWAYS AS (${KEK_ID}) ${how}`
const HEADER = 'wrap TEXT NOT NULL, meta TEXT NOT NULL'

interface Layout {
  readonly name: string
  readonly columns: string
  readonly withoutRowid: boolean
  /** Sealed bytes in a table of their own. */
  readonly apart: boolean
}

const LAYOUTS: readonly Layout[] = [
  { name: 'the store', columns: `${HEADER}, ${CHECKED}`, withoutRowid: true, apart: true },
  {
    name: 'generated, virtual',
    columns: `${HEADER}, ${generated('VIRTUAL')}`,
    withoutRowid: true,
    apart: true,
  },
  {
    name: 'generated, stored',
    columns: `${HEADER}, ${generated('STORED')}`,
    withoutRowid: true,
    apart: true,
  },
  { name: 'apart, with rowid', columns: `${HEADER}, ${CHECKED}`, withoutRowid: false, apart: true },
  { name: 'one table, sealed last', columns: `${HEADER}, ${CHECKED}`, withoutRowid: false, apart: false },
  { name: 'one table without rowid', columns: `${HEADER}, ${CHECKED}`, withoutRowid: true, apart: false },
]

function tables({ columns, withoutRowid, apart }: Layout): string {
  const last = apart ? 'sealed_id INTEGER NOT NULL' : 'sealed BLOB NOT NULL'
  return `CREATE TABLE secrets (name TEXT NOT NULL PRIMARY KEY, ${columns}, ${last}) STRICT${withoutRowid ? ', WITHOUT ROWID' : ''};
    CREATE INDEX by_kek ON secrets (kek_id, name);
    CREATE TABLE sealed (id INTEGER PRIMARY KEY, sealed BLOB NOT NULL) STRICT;`
}

function measure(layout: Layout, sealedBytes: number): Map<string, number> {
  const folder = mkdtempSync(join(tmpdir(), 'layouts-'))
  const database = new DatabaseSync(join(folder, 'secrets.db'))
  const times = new Map<string, number>()
  const time = (what: string, work: () => void) => {
    const began = performance.now()
    work()
    times.set(what, performance.now() - began)
  }
  try {
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
    database.exec(tables(layout))
    const plain = layout.columns.includes('CHECK')
    const { apart } = layout
    const insertSealed = database.prepare('INSERT INTO sealed (sealed) VALUES (?)')
    const insert = database.prepare(
      `INSERT INTO secrets (name, wrap, meta, ${apart ? 'sealed_id' : 'sealed'}${plain ? ', kek_id' : ''})
       VALUES (?, ?, ?, ?${plain ? ', ?' : ''})`,
    )
    const sealed = new Uint8Array(sealedBytes).fill(7)
    const meta = '{"v":1,"c":{"tenant":"acme","provider":"openai"},"t":1760000000000}'
    const name = (n: number) => `provider-${(n * 7919) % 997}/tenant-${n}`
    const wrap = (kekId: string, n: number) => `talos:v2:${kekId}:${String(n).padStart(110, 'w')}`
    const arriving = Array.from({ length: RECORDS }, (_, n) => n)
    // A rotation goes through the records as a scan shows them.
    const scanned = arriving.toSorted((left, right) => (name(left) < name(right) ? -1 : 1))
    const inBatches = (order: readonly number[], work: (n: number) => void) => {
      for (let from = 0; from < RECORDS; from += BATCH) {
        database.exec('BEGIN IMMEDIATE')
        for (const n of order.slice(from, from + BATCH)) work(n)
        database.exec('COMMIT')
      }
    }
    time('create', () =>
      inBatches(arriving, (n) => {
        const last = apart ? insertSealed.run(sealed).lastInsertRowid : sealed
        insert.run(name(n), wrap('old', n), meta, last, ...(plain ? ['old'] : []))
      }),
    )
    const rewrap = database.prepare(
      `UPDATE secrets SET wrap = ?, meta = ?${plain ? ', kek_id = ?' : ''} WHERE name = ? AND wrap = ?`,
    )
    time('rewrap', () =>
      inBatches(scanned, (n) =>
        rewrap.run(wrap('new', n), meta, ...(plain ? ['new'] : []), name(n), wrap('old', n)),
      ),
    )
    const page = database.prepare(
      'SELECT name, wrap, meta FROM secrets WHERE kek_id = ? AND name > ? ORDER BY name LIMIT 1000',
    )
    time('stale scan', () => readAll(page))
    const census = database.prepare('SELECT kek_id, count(*) FROM secrets GROUP BY kek_id')
    time('census', () => census.all())
    const read = database.prepare(
      `SELECT wrap, meta, sealed FROM secrets ${apart ? 'JOIN sealed ON id = sealed_id' : ''} WHERE name = ?`,
    )
    time('read', () => {
      for (let n = 0; n < 20_000; n += 1) read.get(name((n * 31) % RECORDS))
    })
  } finally {
    database.close()
    rmSync(folder, { recursive: true, force: true })
  }
  return times
}

function readAll(page: StatementSync): void {
  let after = ''
  for (;;) {
    const rows = page.all('new', after)
    const last = rows.at(-1)
    if (last === undefined) return
    after = String(last['name'])
  }
}

for (const sealedBytes of [92, 8_192]) {
  const ratios = new Map<string, number[]>()
  for (let round = 0; round < ROUNDS; round += 1) {
    let own: Map<string, number> | undefined
    for (const layout of LAYOUTS) {
      const times = measure(layout, sealedBytes)
      own ??= times
      for (const [what, time] of times) {
        const key = `${layout.name}|${what}`
        ratios.set(key, [...(ratios.get(key) ?? []), time / (own.get(what) ?? 1)])
      }
    }
  }
  console.log(
    `${RECORDS} records, ${sealedBytes} sealed bytes, ${ROUNDS} rounds; time relative to the store's layout`,
  )
  const rows = LAYOUTS.map(({ name }) => {
    const cells = ['create', 'rewrap', 'stale scan', 'census', 'read'].map((what) => {
      const values = (ratios.get(`${name}|${what}`) ?? []).toSorted((left, right) => left - right)
      const [low, middle, high] = [0, Math.floor(values.length / 2), values.length - 1].map((at) =>
        (values[at] ?? 0).toFixed(2),
      )
      return `${middle} (${low} to ${high})`
    })
    return [name, ...cells]
  })
  console.table(rows)
}

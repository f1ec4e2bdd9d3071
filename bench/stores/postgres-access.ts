import { randomBytes } from 'node:crypto'
import type { SecretVault } from '@talos/envelope'
import { type PostgresPool, type PostgresQuery, postgresStore } from '@talos/envelope-postgres'
import type { Pool } from 'pg'
import { sampleValue } from '../codec/sample.ts'
import type { Comparison, Heat } from '../measure/report.ts'
import type { Contender } from '../measure/rounds.ts'
import type { PostgresLab } from './postgres-lab.ts'
import { Rotations, recordMeta, recordName } from './rotations.ts'

const PREFIX = 'access_'
const RECORDS = 100_000
/** Each contender has names of its own: those that write without encryption leave nothing that a vault could open. */
const NAMES_EACH = 20_000
const VALUE_BYTES = 64
const CALLS = 400

/**
 * `get` and `put` of a vault against the statements that they run, without encryption and without this library, and against
 * what somebody would write by hand for text in a table.
 *
 * @param lab - A server.
 * @returns One heat, its table filled.
 */
export async function* postgresAccessHeats(lab: PostgresLab): AsyncGenerator<Heat> {
  const pool = lab.pool(2)
  const store = lab.store(PREFIX, 2)
  await store.migrate()
  const rotations = new Rotations()
  await rotations.fill(store, RECORDS, VALUE_BYTES)
  await lab.run(`CREATE TABLE by_hand (name text COLLATE "C" PRIMARY KEY, value text NOT NULL)`)
  await lab.run(`INSERT INTO by_hand SELECT name, repeat('x', ${VALUE_BYTES}) FROM ${PREFIX}secrets`)
  await lab.run(`VACUUM ANALYZE ${PREFIX}secrets, by_hand`)
  const vault = await rotations.openVault(store)
  const { get, put } = await statementsOf(pool, (recording) => rotations.openVault(recording))
  const value = sampleValue(VALUE_BYTES)
  const sealed = randomBytes(VALUE_BYTES + 28)
  const meta = recordMeta()
  const runQuery = (query: PostgresQuery, values: unknown[]) => pool.query({ ...query, values })
  const reads: readonly Contender[] = [
    timed('postgres get', 0, (name) => vault.get(name)),
    timed('postgres read by the store', 0, (name) => store.read([name])),
    timed('postgres get, its statement', 0, (name) => runQuery(get, [[name]])),
    timed('postgres get by hand', 0, (name) =>
      pool.query('SELECT name, value FROM by_hand WHERE name = $1', [name]),
    ),
  ]
  const writes: readonly Contender[] = [
    timed('postgres put', 1, (name) => vault.put(name, value)),
    timed('postgres put, its statements', 2, async (name) => {
      const { rows } = await runQuery(put.read, [[name]])
      const found = (rows as { wrap: string | null }[]).find(({ wrap }) => wrap !== null)
      const expected = found?.wrap ?? ''
      // A text of the same length, other each time.
      const head = expected.slice(0, expected.lastIndexOf(':') + 1)
      const wrap =
        head +
        randomBytes(92)
          .toString('base64url')
          .slice(0, expected.length - head.length)
      const answer = await runQuery(put.write, [put.guard, 'r', [name], [expected], [wrap], [meta], [sealed]])
      if ((answer.rows[0] as { outcomes: string }).outcomes !== 'd') throw new Error('Nothing was written.')
    }),
    timed('postgres put by hand', 1, (name) =>
      pool.query(
        'INSERT INTO by_hand VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
        [name, value],
      ),
    ),
  ]
  // Apart: a read behind a write finds a processor that has slept while the disk worked.
  yield { title: '', contenders: reads, comparisons: postgresAccessComparisons('get') }
  yield { title: '', contenders: writes, comparisons: postgresAccessComparisons('put') }
  await vault.close()
}

/** Lists the ratios of {@link postgresAccessHeats}. */
export function postgresAccessComparisons(verb: 'get' | 'put'): readonly Comparison[] {
  const time = (name: string, ours: string, theirs: string): Comparison => ({
    name: `postgres/${name}`,
    ours: [ours],
    theirs: [theirs],
    tells: 'time',
  })
  const comparisons = [
    time('get/400B/statement', 'postgres get', 'postgres get, its statement'),
    time('get/400B/store', 'postgres get', 'postgres read by the store'),
    time('get/400B/byHand', 'postgres get', 'postgres get by hand'),
    time('put/400B/statements', 'postgres put', 'postgres put, its statements'),
    time('put/400B/byHand', 'postgres put', 'postgres put by hand'),
  ]
  return comparisons.filter(({ name }) => name.startsWith(`postgres/${verb}/`))
}

/** A contender that goes through names in an order that is not that of the table. */
function timed(name: string, range: number, run: (name: string) => Promise<unknown>): Contender {
  let turn = 0
  const next = () => {
    turn += 1
    return run(recordName(range * NAMES_EACH + ((turn * 7919) % NAMES_EACH)))
  }
  return { name, run: next, calls: CALLS, p50: true }
}

/** The statements of `get` and `put`, taken down while a vault runs them. */
async function statementsOf(
  pool: Pool,
  open: (store: ReturnType<typeof postgresStore>) => Promise<SecretVault>,
) {
  let queries: PostgresQuery[] = []
  const recording: PostgresPool = {
    on: (event, listener) => pool.on(event, listener),
    listenerCount: (event) => pool.listenerCount(event),
    connect: async () => {
      const client = await pool.connect()
      return {
        on: (event, listener) => client.on(event, listener),
        removeListener: (event, listener) => client.removeListener(event, listener),
        release: (destroy) => client.release(destroy),
        query: (query) => {
          queries.push(query)
          return client.query(query as never) as never
        },
      }
    },
  }
  const vault = await open(postgresStore({ pool: recording, tablePrefix: PREFIX }))
  const name = recordName(RECORDS - 1)
  try {
    // The first put also asks the store how long values may be.
    await vault.put(name, 'first')
    queries = []
    await vault.get(name)
    const [get, ...noGet] = queries
    queries = []
    await vault.put(name, 'second')
    const [read, write, ...noPut] = queries
    if (get === undefined || read === undefined || write === undefined || noGet.length + noPut.length > 0) {
      throw new Error('get is not one statement, or put not two: this heat has to follow.')
    }
    return { get, put: { read, write, guard: write.values?.[0] } }
  } finally {
    await vault.close()
  }
}

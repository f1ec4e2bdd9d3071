import { createCodec, explicitKeys } from '@talos/envelope'
import type { PoolClient } from 'pg'
import type { Comparison, Heat } from '../measure/report.ts'
import type { Contender } from '../measure/rounds.ts'
import { type PostgresLab, SecretsTable } from './postgres-lab.ts'
import { LOOP_KEK_ID, Rotations, recordContext, recordMeta } from './rotations.ts'

/** Rows of about 400 bytes, and rows whose value has 8 KiB. */
const SMALL = { prefix: 'small_', records: 100_000, valueBytes: 64 }
const LARGE = { prefix: 'large_', records: 20_000, valueBytes: 8_192 }
/** How many rows the loops re-wrap; what they need for a row does not depend on it. */
const LOOP_RECORDS = 3_000
const LOOP_TRANSACTION = 1_000
/** Stands in for sealed bytes, which a codec passes on unseen. */
const SEALED = Buffer.alloc(28).toString('base64url')

/**
 * Rotations of every record by the engine of a vault, against one bare `UPDATE` of the same rows and against loops that
 * re-wrap one row at a time.
 *
 * @param lab - A server.
 * @returns One heat, its tables filled.
 */
export async function* postgresRewrapHeats(lab: PostgresLab): AsyncGenerator<Heat> {
  const small = await bench(lab, SMALL)
  const large = await bench(lab, LARGE)
  const contenders: readonly Contender[] = [
    small.bareUpdate(),
    small.rewrap(1),
    small.loop('transaction', LOOP_TRANSACTION),
    small.rewrap(2),
    small.loop('commitEach', 1),
    large.bareUpdate(),
    large.rewrap(1),
  ].map((contender) => ({ ...contender, calls: 1 }))
  yield { title: '', contenders, comparisons: postgresRewrapComparisons() }
  await small.close()
  await large.close()
}

/** Lists the ratios of {@link postgresRewrapHeats}. */
export function postgresRewrapComparisons(): readonly Comparison[] {
  const one = ['postgres rewrap 400B, 1 connection']
  const two = ['postgres rewrap 400B, 2 connections']
  const large = ['postgres rewrap 8KiB, 1 connection']
  return [
    { name: 'postgres/rewrap/400B/bareUpdate/1connection', ours: one, theirs: ['postgres bare UPDATE 400B'] },
    {
      name: 'postgres/rewrap/400B/bareUpdate/2connections',
      ours: two,
      theirs: ['postgres bare UPDATE 400B'],
    },
    { name: 'postgres/rewrap/400B/loop/transaction', ours: one, theirs: ['postgres loop transaction'] },
    { name: 'postgres/rewrap/400B/loop/commitEach', ours: one, theirs: ['postgres loop commitEach'] },
    {
      name: 'postgres/rewrap/8KiB/bareUpdate/1connection',
      ours: large,
      theirs: ['postgres bare UPDATE 8KiB'],
    },
    { name: 'postgres/rewrap/8KiB/400B/1connection', ours: large, theirs: one },
  ]
}

async function bench(lab: PostgresLab, rows: { prefix: string; records: number; valueBytes: number }) {
  const { prefix, records, valueBytes } = rows
  const size = valueBytes === 64 ? '400B' : '8KiB'
  const store = lab.store(prefix, 1)
  await store.migrate()
  const rotations = new Rotations()
  await rotations.fill(store, records, valueBytes)
  const table = new SecretsTable(lab, prefix)
  const settle = async () => {
    await rotations.close()
    await table.settle()
  }
  return {
    close: () => rotations.close(),
    bareUpdate: (): Contender => ({
      name: `postgres bare UPDATE ${size}`,
      values: records,
      prepare: settle,
      run: () => table.bareUpdate(),
    }),
    rewrap: (connections: number): Contender => ({
      name: `postgres rewrap ${size}, ${connections === 1 ? '1 connection' : `${connections} connections`}`,
      values: records,
      prepare: async () => {
        await settle()
        await rotations.promoteNext(lab.store(prefix, connections))
      },
      run: () => rotations.run(),
    }),
    loop: (name: string, perTransaction: number): Contender => ({
      name: `postgres loop ${name}`,
      values: LOOP_RECORDS,
      prepare: settle,
      run: () => loop(lab, `${prefix}secrets`, rotations, perTransaction),
    }),
  }
}

/** What a service without this library would do: read a page, and re-wrap and update its rows one by one. */
async function loop(
  lab: PostgresLab,
  table: string,
  { keks }: Rotations,
  perTransaction: number,
): Promise<void> {
  const codec = await createCodec({ keys: explicitKeys({ keks, currentKekId: LOOP_KEK_ID }) })
  const meta = recordMeta('2026-01-02T00:00:00.000Z')
  const update = {
    name: `update-${table}`,
    text: `UPDATE ${table} SET wrap = $3, meta = $4 WHERE name = $1 AND wrap = $2`,
  }
  const client: PoolClient = await lab.pool(1).connect()
  try {
    let last = ''
    for (let done = 0; done < LOOP_RECORDS; done += LOOP_TRANSACTION) {
      const { rows } = await client.query<{ name: string; wrap: string }>(
        `SELECT name, wrap, meta FROM ${table} WHERE name > $1 ORDER BY name LIMIT $2`,
        [last, LOOP_TRANSACTION],
      )
      last = rows.at(-1)?.name ?? ''
      if (perTransaction > 1) await client.query('BEGIN')
      for (const { name, wrap } of rows) {
        const envelope = await codec.rewrap(`${wrap}:${SEALED}`, recordContext(name))
        const next = envelope.slice(0, envelope.lastIndexOf(':'))
        const { rowCount } = await client.query({ ...update, values: [name, wrap, next, meta] })
        if (rowCount !== 1 || next === wrap) throw new Error('The loop did not re-wrap a row.')
      }
      if (perTransaction > 1) await client.query('COMMIT')
    }
  } finally {
    client.release()
  }
}

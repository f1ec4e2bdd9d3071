import {
  type CallOptions,
  type EncryptionContext,
  isEnvelopeError,
  type Page,
  pageLimit,
  type RotatableSource,
  type SourceChange,
  type SourceEnvelope,
  SourceError,
  type SourceOutcome,
  StoreError,
} from '@talos/envelope'
import type { PostgresPool } from './client.ts'
import { Deadline } from './deadline.ts'
import { checkColumnName } from './envelope-column.ts'
import { type EnvelopePlace, type EnvelopeStatements, HIDDEN, statementsFor } from './envelope-table-sql.ts'
import { rowsOf } from './secret-table.ts'
import { PoolSession, type Row, type Statement } from './session.ts'

/** Options of {@link envelopeTable}. */
export interface EnvelopeTableOptions<Key extends string, Column extends string> {
  /** A `Pool` of `pg`, or of a pooler such as PgBouncer, to the primary. Its role needs SELECT on the table and UPDATE on the column of envelopes. */
  readonly pool: PostgresPool
  readonly table: string
  /** @defaultValue `public` */
  readonly schema?: string
  /** The primary key, or the columns of a unique index that are all NOT NULL, in the order of that index. */
  readonly key: Key | readonly Key[]
  /** The column of the type `text` that holds what `codec.wrap` returned, or NULL. */
  readonly envelope: string
  /** Columns besides the key that the context is made of. @defaultValue none */
  readonly columns?: readonly Column[]
  /**
   * Makes the context that the value of a row was wrapped with. Every value is the text that PostgreSQL writes for it, times as
   * in JSON. What it throws is a failure of that row.
   */
  readonly context: (row: EnvelopeRow<Key, Column>) => EncryptionContext
  /** The name of the source. @defaultValue `<schema>.<table>.<column>` */
  readonly name?: string
}

/** One row as {@link EnvelopeTableOptions.context} sees it. */
export type EnvelopeRow<Key extends string, Column extends string> = Readonly<
  Record<Key, string> & Record<Column, string | null>
>

/**
 * Makes a declared source of a column of the application's own table in PostgreSQL 15 or later: the retirement gate counts it,
 * and rotations re-wrap it. Only wrap texts leave the database, never sealed parts. Nothing is read before the first call.
 *
 * A row whose column is neither NULL nor an envelope is a failure of every rotation, and while there is one nothing can be
 * counted: it may be a value that somebody stored without encrypting it.
 *
 * All calls throw `StoreError` as a store does, and `SourceError` `ERR_SOURCE_DAMAGED`.
 *
 * @throws TypeError for names that PostgreSQL cannot take.
 */
export function envelopeTable<Key extends string, Column extends string = never>(
  options: EnvelopeTableOptions<Key, Column>,
): RotatableSource {
  const { pool, table, schema = 'public', envelope, columns = [], context } = options
  const key: readonly Key[] = typeof options.key === 'string' ? [options.key] : options.key
  for (const name of [table, schema, envelope, ...key, ...columns]) checkColumnName('envelopeTable', name)
  if (key.length === 0 || new Set([...key, envelope]).size !== key.length + 1) {
    throw new TypeError('key: needs the columns of a primary key, each once and none of envelopes')
  }
  if (typeof context !== 'function') throw new TypeError('context: needs a function of a row')
  const place = { schema, table, key, envelope, columns: columns.filter((name) => !hasName(key, name)) }
  const source = new EnvelopeTable(pool, place, context as (row: Row) => EncryptionContext, options.name)
  return {
    name: source.name,
    count: (kekId, call) => source.count(kekId, call),
    scan: (query, call) => source.scan(query, call),
    rewrap: (changes, call) => source.rewrap(changes, call),
  }
}

class EnvelopeTable implements RotatableSource {
  readonly name: string
  readonly #session: PoolSession
  readonly #place: EnvelopePlace
  readonly #context: (row: Row) => EncryptionContext
  #statements: EnvelopeStatements | null = null

  constructor(
    pool: PostgresPool,
    place: EnvelopePlace,
    context: (row: Row) => EncryptionContext,
    name = `${place.schema}.${place.table}.${place.envelope}`,
  ) {
    this.name = name
    this.#session = new PoolSession(pool, false)
    this.#place = place
    this.#context = context
  }

  count(kekId: string, options: CallOptions): Promise<number> {
    return this.#call(options, async ({ count }, deadline) => {
      const [row] = await rowsOf(this.#session, count, [kekId], deadline)
      const { schema, table, envelope } = this.#place
      if (row?.['hidden'] !== 'f') {
        throw new StoreError('ERR_STORE_CONFIGURATION', `${schema}.${table}: ${HIDDEN}.`)
      }
      const damaged = Number(row['damaged'])
      if (damaged === 0) return Number(row['envelopes'])
      const many = damaged === 1 ? '1 row of' : `${damaged} rows of`
      throw new SourceError(
        'ERR_SOURCE_DAMAGED',
        `${many} ${schema}.${table} hold something in the column ${envelope} that is no envelope, and may be a value. ` +
          'A rotation lists their keys; wrap, restore or clear them.',
        { source: this.name },
      )
    })
  }

  async scan(
    query: { readonly cursor: string | null; readonly limit: number; readonly exceptKekId: string },
    options: CallOptions,
  ): Promise<Page<SourceEnvelope>> {
    const { cursor, exceptKekId } = query
    const limit = pageLimit(query.limit)
    const after = cursor === null ? [] : this.#keyOf(cursor, 'cursor')
    return await this.#call(options, async ({ firstPage, nextPage }, deadline) => {
      const statement = cursor === null ? firstPage : nextPage
      const rows = await rowsOf(this.#session, statement, [...after, limit, exceptKekId], deadline)
      const found = rows.filter(({ kind }) => kind === 'item')
      // A full page ends with its last envelope, another one where the window ended, if it was as long as a window is.
      const last = found.length === limit ? found.at(-1) : rows.find(({ kind }) => kind === 'end')
      return {
        items: found.map((row) => this.#envelopeOf(row)),
        next: last === undefined ? null : this.#idOf(last),
      }
    })
  }

  async rewrap(changes: readonly SourceChange[], options: CallOptions): Promise<readonly SourceOutcome[]> {
    const rows = changes.map(({ id, expectedWrap, wrap }, index) => [
      ...this.#keyOf(id, `changes[${index}].id`),
      expectedWrap,
      wrap,
    ])
    if (rows.length === 0) return []
    return await this.#call(options, async (statements, deadline) => {
      const outcomes = new Map<number, SourceOutcome>()
      const run = async (statement: Statement, places: readonly number[]): Promise<readonly Row[]> => {
        const columns = (rows[0] ?? []).map((_, column) => places.map((place) => rows[place]?.[column]))
        return statement.writes
          ? await this.#session.run(statement, columns, deadline)
          : await rowsOf(this.#session, statement, columns, deadline)
      }
      const write = async (statement: Statement, places: readonly number[]): Promise<void> => {
        for (const { place } of await run(statement, places)) {
          outcomes.set(places[Number(place) - 1] ?? -1, 'done')
        }
      }
      const look = async (places: readonly number[]): Promise<readonly number[]> => {
        const held: number[] = []
        for (const { place, state } of places.length === 0 ? [] : await run(statements.look, places)) {
          const asked = places[Number(place) - 1] ?? -1
          if (state === 'held') held.push(asked)
          else outcomes.set(asked, state as SourceOutcome)
        }
        return held
      }
      const undecided = (): readonly number[] => [...rows.keys()].filter((place) => !outcomes.has(place))
      await write(statements.rewrap, [...rows.keys()])
      try {
        // Somebody else's transaction holds these; each is waited for alone, holding nothing meanwhile.
        for (const place of await look(undecided())) await write(statements.rewrapHeld, [place])
        await look(undecided())
      } catch (error) {
        throw partly(error, outcomes.size, rows.length)
      }
      return [...rows.keys()].map((place) => outcomes.get(place) ?? 'changed')
    })
  }

  async #call<T>(
    options: CallOptions,
    step: (statements: EnvelopeStatements, deadline: Deadline) => Promise<T>,
  ): Promise<T> {
    const deadline = new Deadline(options)
    try {
      this.#statements ??= await statementsFor(this.#place, this.#session, deadline)
      return await step(this.#statements, deadline)
    } catch (error) {
      // The table may have been altered since it was looked at.
      this.#statements = null
      throw this.#explain(error)
    }
  }

  /** The store's own advice, for its own tables, would lead astray here. */
  #explain(error: unknown): unknown {
    if (!isEnvelopeError(error)) return error
    const { code: state } = (error.cause ?? {}) as { readonly code?: unknown }
    const { schema, table, envelope } = this.#place
    const configuration = (why: string): StoreError =>
      new StoreError('ERR_STORE_CONFIGURATION', `${schema}.${table}: ${why}. Nothing was written.`, {
        cause: error.cause,
      })
    if (state === '42501') {
      return configuration(
        `the role of the pool needs SELECT on the table and UPDATE on its column ${envelope}`,
      )
    }
    if (error.code === 'ERR_STORE_NOT_MIGRATED') return configuration('the table, or a column, is missing')
    return error
  }

  #idOf(row: Row): string {
    return JSON.stringify(this.#place.key.map((_, index) => row[`k${index}`]))
  }

  #keyOf(id: string, where: string): readonly string[] {
    const texts = parsed(id)
    const isKey =
      Array.isArray(texts) &&
      texts.length === this.#place.key.length &&
      texts.every((text) => typeof text === 'string')
    if (!isKey) throw new TypeError(`${where}: is none that this source has answered`)
    return texts
  }

  #envelopeOf(row: Row): SourceEnvelope {
    const { key, columns } = this.#place
    const values = Object.fromEntries([
      ...key.map((name, index) => [name, row[`k${index}`] ?? null] as const),
      ...columns.map((name, index) => [name, row[`v${index}`] ?? null] as const),
    ])
    return { id: this.#idOf(row), wrap: row['wrap'] ?? null, context: this.#contextOf(values) }
  }

  #contextOf(values: Row): EncryptionContext | null {
    try {
      return this.#context(values)
    } catch {
      return null
    }
  }
}

/** The error of a call of which some changes have taken effect. */
function partly(error: unknown, decided: number, changes: number): unknown {
  if (!isEnvelopeError(error)) return error
  return new StoreError(
    'ERR_STORE_OUTCOME_UNKNOWN',
    `${decided} of ${changes} envelopes were re-wrapped, the others wait, some perhaps for a transaction that holds them: ` +
      `${error.message}. Repeat the call.`,
    { retryable: true, cause: error },
  )
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function hasName(names: readonly string[], name: string): boolean {
  return names.includes(name)
}

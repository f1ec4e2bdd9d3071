import { quoteName } from './names.ts'

/** The longest wrap text and the colon behind it: as much of a value as is ever looked at. */
const HEAD_CHARACTERS = 1_465
/** Without a capture, which would take ten times as long. */
const ENVELOPE = "'^talos:v2:[a-z0-9][a-z0-9_-]{0,31}:[A-Za-z0-9_-]+:'"

/** Where envelopes are kept, for {@link envelopeIndexSql}. */
export interface EnvelopeColumn {
  readonly table: string
  /** @defaultValue `public` */
  readonly schema?: string
  /** The column that holds the envelopes. */
  readonly envelope: string
}

/** Compared by bytes, whatever the collation of the column is. */
const headOf = (column: string): string => `substr(${column}, 1, ${HEAD_CHARACTERS}) COLLATE "C"`

/**
 * The KEK id of an envelope, in SQL: null for a null, and the empty text for what is no envelope.
 *
 * @param column - Quoted.
 */
export function kekIdSql(column: string): string {
  const head = headOf(column)
  const id = `CASE WHEN ${head} ~ ${ENVELOPE} THEN split_part(${head}, ':', 3) ELSE '' END`
  return `CASE WHEN ${column} IS NOT NULL THEN ${id} END`
}

/**
 * The wrap text of what is an envelope, in SQL.
 *
 * @param column - Quoted.
 */
export function wrapSql(column: string): string {
  const head = headOf(column)
  const part = (place: number): string => `split_part(${head}, ':', ${place})`
  return `'talos:v2:' || ${part(3)} || ':' || ${part(4)}`
}

/**
 * Prints an index by which the retirement gate counts without reading the whole table. Nothing else needs it.
 *
 * @param options.concurrently - Whether the table can be written to meanwhile; it must not run in a transaction then, and not
 * on a partitioned table. @defaultValue false
 * @throws TypeError for names that PostgreSQL cannot take.
 */
export function envelopeIndexSql(
  column: EnvelopeColumn,
  options: { readonly concurrently?: boolean } = {},
): string {
  const { table, schema = 'public', envelope } = column
  for (const [what, name] of Object.entries({ table, schema, envelope })) checkColumnName(what, name)
  const how = options.concurrently === true ? 'CONCURRENTLY ' : ''
  const place = `${quoteName(schema)}.${quoteName(table)}`
  return `CREATE INDEX ${how}ON ${place} ((${kekIdSql(quoteName(envelope))}));`
}

/** @throws TypeError for what is no name of PostgreSQL. */
export function checkColumnName(what: string, name: unknown): asserts name is string {
  const isName =
    typeof name === 'string' &&
    name !== '' &&
    Buffer.byteLength(name) <= 63 &&
    !/\p{Cc}/u.test(name) &&
    name.isWellFormed()
  if (!isName) throw new TypeError(`${what}: needs a name of 1 to 63 bytes without control characters`)
}

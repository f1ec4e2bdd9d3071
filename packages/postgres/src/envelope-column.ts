import { quoteName } from './names.ts'

/** The longest wrap text and the colon behind it: as much of a value as is ever looked at. */
const HEAD_CHARACTERS = 1_465
const WRAP = "'^(talos:v2:[a-z0-9][a-z0-9_-]{0,31}:[A-Za-z0-9_-]+):'"

/** Where envelopes are kept, for {@link envelopeIndexSql}. */
export interface EnvelopeColumn {
  readonly table: string
  /** @defaultValue `public` */
  readonly schema?: string
  /** The column that holds the envelopes. */
  readonly envelope: string
}

/**
 * The wrap text of an envelope, in SQL; null for what is no envelope. By bytes, whatever the collation of the column is.
 *
 * @param column - Quoted.
 */
export function wrapSql(column: string): string {
  return `substring(substr(${column}, 1, ${HEAD_CHARACTERS}) COLLATE "C" from ${WRAP})`
}

/** The KEK id of an envelope, in SQL: null for a null, and the empty text for what is no envelope. */
export function kekIdSql(column: string): string {
  return `CASE WHEN ${column} IS NOT NULL THEN coalesce(split_part(${wrapSql(column)}, ':', 3), '') END`
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

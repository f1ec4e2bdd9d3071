import { StoreError } from '@talos/envelope'
import type { Deadline } from './deadline.ts'
import { kekIdSql, wrapSql } from './envelope-column.ts'
import { quoteName, quoteText } from './names.ts'
import { reading, rowsOf } from './secret-table.ts'
import type { Row, Session, Statement } from './session.ts'

/** Rows that one page looks at, however few of them are stale: none takes long, and none of them needs an index. */
const WINDOW = 5_000
/** Types whose text is not exact, or is read otherwise under other settings. */
const INEXACT = new Set(['float4', 'float8', 'money', 'interval', 'bpchar', 'json', 'xml'])

/** A table that holds envelopes, checked. */
export interface EnvelopePlace {
  readonly schema: string
  readonly table: string
  readonly key: readonly string[]
  readonly envelope: string
  readonly columns: readonly string[]
}

/** The statements for one table, which hold the types of its key. */
export interface EnvelopeStatements {
  readonly count: Statement
  readonly firstPage: Statement
  readonly nextPage: Statement
  /** Re-wraps what nobody holds a lock of, without waiting: it can have no part in a deadlock. */
  readonly rewrap: Statement
  /** Re-wraps and waits; to be run for one row at a time. */
  readonly rewrapHeld: Statement
  readonly look: Statement
}

const DESCRIBE =
  reading(`SELECT a.attname AS name, a.atttypmod AS modifier, y.typname AS type, s.nspname AS type_schema,
  y.typcategory AS category, row_security_active(c.oid) AS hidden, EXISTS (
    SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
      AND i.indexprs IS NULL AND (
        SELECT array_agg(k.attname::text ORDER BY o.place) FILTER (WHERE k.attnotnull)
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS o (attnum, place)
        JOIN pg_catalog.pg_attribute k ON k.attrelid = i.indrelid AND k.attnum = o.attnum
        WHERE o.place <= i.indnkeyatts
      ) = $3::text[]
  ) AS keyed
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
JOIN pg_catalog.pg_namespace s ON s.oid = y.typnamespace
WHERE n.nspname = $1::text AND c.relname = $2::text AND a.attname = ANY ($4::text[])`)

/**
 * Looks at a table and makes the statements for it.
 *
 * @throws StoreError `ERR_STORE_CONFIGURATION` for a table that cannot be read whole and in the order of its key.
 */
export async function statementsFor(
  place: EnvelopePlace,
  session: Session,
  deadline: Deadline,
): Promise<EnvelopeStatements> {
  const { schema, table, key, envelope, columns } = place
  const names = [...key, envelope, ...columns]
  const found = await rowsOf(session, DESCRIBE, [schema, table, key, names], deadline)
  const byName = new Map(found.map((row) => [row['name'] ?? '', row]))
  const missing = names.filter((name) => !byName.has(name))
  const refuse = (why: string): StoreError =>
    new StoreError('ERR_STORE_CONFIGURATION', `${schema}.${table}: ${why}. Nothing was written.`)
  if (missing.length > 0) throw refuse(`there is no such table, or no column ${missing.join(', ')}`)
  if (found.some(({ hidden }) => hidden === 't')) throw refuse(HIDDEN)
  if (found.some(({ keyed }) => keyed !== 't')) {
    throw refuse(`it needs a primary key, or a unique index of NOT NULL columns, on (${key.join(', ')})`)
  }
  const kind = byName.get(envelope)
  const isText = (kind?.['type'] === 'text' || kind?.['type'] === 'varchar') && kind['modifier'] === '-1'
  if (!isText) throw refuse(`the column ${envelope} has to be of the type text`)
  for (const name of key) {
    const type = byName.get(name)?.['type'] ?? ''
    if (INEXACT.has(type)) throw refuse(`its key has a column of the type ${type}, whose text is not exact`)
  }
  return statementsOf(place, byName)
}

export const HIDDEN =
  'row-level security hides rows of it from the role of the pool; give the role BYPASSRLS, or use another one'

function statementsOf(place: EnvelopePlace, types: ReadonlyMap<string, Row>): EnvelopeStatements {
  const table = `${quoteName(place.schema)}.${quoteName(place.table)}`
  const envelope = `t.${quoteName(place.envelope)}`
  const keys = place.key.map((name, index) => ({
    column: `t.${quoteName(name)}`,
    own: `o${index}`,
    text: textOf(`o${index}`, types.get(name)),
    given: (text: string) => `CAST(${text} AS ${typeOf(types.get(name))})`,
  }))
  const columns = place.columns.map((name, index) => ({
    column: `t.${quoteName(name)} AS c${index}`,
    text: `${textOf(`c${index}`, types.get(name))} AS v${index}`,
    none: `NULL AS v${index}`,
  }))
  const ordered = keys.map(({ column }) => column).join(', ')
  const own = keys.map(({ own }) => own).join(', ')
  const texts = keys.map(({ text }, index) => `${text} AS k${index}`)

  const page = (where: string, parameters: number): Statement => {
    const select = (what: readonly string[]): string =>
      `SELECT ${what.join(', ')} FROM ${table} t ${where} ORDER BY ${ordered}`
    const raw = keys.map(({ column, own }) => `${column} AS ${own}`)
    const window = [...raw, ...columns.map(({ column }) => column), `${envelope} AS envelope`]
    const limit = `$${parameters + 1}::bigint`
    const except = `$${parameters + 2}::text`
    const wrap = `CASE WHEN kek_id <> '' THEN ${wrapSql('envelope')} END AS wrap`
    return reading(`WITH stale AS MATERIALIZED (
  SELECT 'item' AS kind, ${[...texts, wrap, ...columns.map(({ text }) => text)].join(', ')}
  FROM (${select([...window, `${kekIdSql(envelope)} AS kek_id`])} LIMIT ${WINDOW}) near
  WHERE kek_id <> ${except} ORDER BY ${own} LIMIT ${limit}
)
SELECT * FROM stale
UNION ALL
SELECT 'end', ${[...texts, 'NULL', ...columns.map(({ none }) => none)].join(', ')}
FROM (${select(raw)} OFFSET ${WINDOW - 1} LIMIT 1) last WHERE (SELECT count(*) FROM stale) < ${limit}`)
  }
  const given = keys.map(({ given }, index) => given(`$${index + 1}::text`))
  const after = `WHERE (${ordered}) > (${given.join(', ')})`

  const arrays = [...keys.keys(), keys.length, keys.length + 1].map((index) => `$${index + 1}::text[]`)
  const asked = `unnest(${arrays.join(', ')}) WITH ORDINALITY AS a (${[...keys.keys()].map((index) => `k${index}`).join(', ')}, expected, wrap, place)`
  const isAsked = keys.map(({ column, given }, index) => `${column} = ${given(`a.k${index}`)}`).join(' AND ')
  const begins = (text: string): string => `starts_with(${envelope} COLLATE "C", ${text} || ':')`
  const exchange = `UPDATE ${table} t SET ${quoteName(place.envelope)} = a.wrap || substr(${envelope}, length(a.expected) + 1)`
  const raw = keys.map(({ column, own }) => `${column} AS ${own}`).join(', ')
  const isHeld = keys.map(({ column, own }) => `${column} = a.${own}`).join(' AND ')
  const writing = (text: string): Statement => ({ text, writes: true })
  return {
    count: reading(`SELECT row_security_active(${quoteText(table)}::regclass) AS hidden,
  coalesce(sum(rows) FILTER (WHERE kek_id = $1::text), 0) AS envelopes,
  coalesce(sum(rows) FILTER (WHERE kek_id = ''), 0) AS damaged
FROM (
  SELECT ${kekIdSql(envelope)} AS kek_id, count(*) AS rows FROM ${table} t
  WHERE ${kekIdSql(envelope)} = ANY (ARRAY[$1::text, '']) GROUP BY 1
) part`),
    firstPage: page('', 0),
    nextPage: page(after, keys.length),
    rewrap: writing(`WITH a AS MATERIALIZED (
  SELECT ${raw}, a.expected, a.wrap, a.place FROM ${asked} JOIN ${table} t ON ${isAsked}
  WHERE ${begins('a.expected')} FOR NO KEY UPDATE OF t SKIP LOCKED
) ${exchange} FROM a WHERE ${isHeld} AND ${begins('a.expected')} RETURNING a.place`),
    rewrapHeld: writing(
      `${exchange} FROM ${asked} WHERE ${isAsked} AND ${begins('a.expected')} RETURNING a.place`,
    ),
    look: reading(`SELECT a.place, CASE WHEN ${envelope} IS NULL THEN 'missing' WHEN ${begins('a.wrap')} THEN 'already'
  WHEN ${begins('a.expected')} THEN 'held' ELSE 'changed' END AS state
FROM ${asked} LEFT JOIN ${table} t ON ${isAsked}`),
  }
}

/** A value as a text that reads the same under other settings: JSON has one form for times. */
function textOf(column: string, type: Row | undefined): string {
  return type?.['category'] === 'D' ? `to_jsonb(${column}) #>> '{}'` : `${column}::text`
}

/** Without a length, so that no text is cut. */
function typeOf(type: Row | undefined): string {
  return `${quoteName(type?.['type_schema'] ?? '')}.${quoteName(type?.['type'] ?? '')}`
}

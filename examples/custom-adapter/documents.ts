import type { StoredDocument } from '@talos/envelope'
import type { Done } from './client.ts'
import type { Tables } from './schema.ts'
import { type Row, type Session, text } from './session.ts'
import { type Sql, sql } from './sql.ts'

/** A fence that waits for one writer keeps all others waiting behind it. So it waits this long and lets them pass. */
const LONGEST_STALL_MS = 500

/** The columns of a document, of the table `d`. The server's own clock, which knows no time zones. */
export const DOCUMENT_COLUMNS: Sql = sql`d.name, d.value, d.revision,
  TIMESTAMPDIFF(MICROSECOND, d.written, UTC_TIMESTAMP(6)) AS age`

export function documentOf(row: Row): StoredDocument {
  return {
    key: text(row['name']),
    value: text(row['value']),
    revision: Number(row['revision']),
    ageMs: Math.max(0, Number(row['age']) / 1000),
  }
}

/** Writes or deletes a document inside a transaction. */
export async function replaceDocument(
  session: Session,
  tables: Tables,
  key: string,
  expectedRevision: number,
  value: string | null,
): Promise<Done<number | null>> {
  // For the keyring document this is the fence: it waits for every writer that holds the row shared.
  const [there] = await session.bounded(
    sql`SELECT value, revision FROM ${tables.documents} WHERE name = ${key} FOR UPDATE`,
    LONGEST_STALL_MS,
  )
  const revision = there === undefined ? 0 : Number(there['revision'])
  if (value === null && there === undefined) return { answer: 0, wrote: false }
  const repeated = value !== null && there !== undefined && revision === expectedRevision + 1
  if (repeated && text(there['value']) === value) return { answer: revision, wrote: false }
  if (revision !== expectedRevision) return { answer: null, wrote: false }
  if (value === null) {
    await session.bounded(sql`DELETE FROM ${tables.documents} WHERE name = ${key}`)
    return { answer: 0, wrote: true }
  }
  // In a statement of its own: the time of a statement is that of its beginning, before it waited for the lock.
  await session.bounded(
    there === undefined
      ? sql`INSERT INTO ${tables.documents} (name, value, revision, written)
          VALUES (${key}, ${value}, 1, UTC_TIMESTAMP(6))`
      : sql`UPDATE ${tables.documents} SET value = ${value}, revision = ${revision + 1}, written = UTC_TIMESTAMP(6)
          WHERE name = ${key}`,
  )
  return { answer: revision + 1, wrote: true }
}

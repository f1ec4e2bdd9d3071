import type { StoredDocument } from '@talos/envelope'
import type { Done } from './client.ts'
import { FOLLOWER, requirePrimary } from './fitness.ts'
import type { Tables } from './schema.ts'
import { number, type Row, type Session, text } from './session.ts'
import { type Sql, sql } from './sql.ts'

/**
 * How long an attempt waits for the document's lock. A fence that waits for one writer keeps all others waiting behind
 * it: so it stands aside, lets them pass, and waits longer the next time.
 */
const SHORTEST_STALL_MS = 200
const LONGEST_STALL_MS = 1000

/** The columns of a document. Its age is by the server's own clock in UTC, which no change of local time moves. */
export const DOCUMENT_COLUMNS: Sql = sql`name, value, revision,
  TIMESTAMPDIFF(MICROSECOND, written, UTC_TIMESTAMP(6)) AS age`

export function documentOf(row: Row): StoredDocument {
  return {
    key: text(row['name']),
    value: text(row['value']),
    revision: number(row['revision']),
    ageMs: Math.max(0, number(row['age']) / 1000),
  }
}

/** Writes or deletes a document inside a transaction. */
export async function replaceDocument(
  session: Session,
  tables: Tables,
  key: string,
  expectedRevision: number,
  value: string | null,
  attempt: number,
): Promise<Done<number | null>> {
  // For the keyring document this is the fence: it waits for every writer that holds the row shared.
  const [there] = await session.bounded(
    sql`SELECT ${FOLLOWER}, value, revision FROM ${tables.documents} WHERE name = ${key} FOR UPDATE`,
    Math.min(SHORTEST_STALL_MS * attempt, LONGEST_STALL_MS),
  )
  await requirePrimary(session, there)
  const revision = there === undefined ? 0 : number(there['revision'])
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

import { type Change, KEYRING_DOCUMENT, type Outcome } from '@talos/envelope'
import type { Done } from './client.ts'
import { FOLLOWER, requirePrimary } from './fitness.ts'
import type { Tables } from './schema.ts'
import { number, type Session, text } from './session.ts'
import { joined, list, type Sql, sql } from './sql.ts'

/** Few enough that a fence does not wait long, and in hexadecimal less than `max_allowed_packet`. */
const BATCH_CHANGES = 200
const BATCH_BYTES = 1_500_000

type Write = Exclude<Change, { kind: 'delete' }>

/** A change and its place in the call. */
export interface Placed {
  readonly change: Change
  readonly place: number
}

/** The name of the record that a change is of. */
export function nameOf(change: Change): string {
  return change.kind === 'delete' ? change.name : change.secret.name
}

/** Splits the changes of a call into transactions, in the order of names, so that two calls never wait for each other. */
export function batches(changes: readonly Change[]): readonly (readonly Placed[])[] {
  const ordered = changes
    .map((change, place) => ({ change, place, bytes: Buffer.from(nameOf(change)) }))
    .toSorted((one, other) => Buffer.compare(one.bytes, other.bytes))
  const split: Placed[][] = []
  let room = 0
  for (const { change, place } of ordered) {
    const size = sizeOf(change)
    const batch = split.at(-1)
    if (batch === undefined || batch.length === BATCH_CHANGES || size > room) {
      split.push([{ change, place }])
      room = BATCH_BYTES - size
    } else {
      batch.push({ change, place })
      room -= size
    }
  }
  return split
}

/**
 * Makes changes inside a transaction, by one statement for each kind of change.
 *
 * @returns The outcomes in the order of `batch`.
 */
export async function applyChanges(
  session: Session,
  tables: Tables,
  guard: number,
  batch: readonly Placed[],
): Promise<Done<readonly Outcome[]>> {
  // Shared: writers pass side by side, and a fence waits until each of them has ended.
  const [keyring] = await session.bounded(
    sql`SELECT revision, ${FOLLOWER} FROM ${tables.documents}
      WHERE name = ${KEYRING_DOCUMENT} LOCK IN SHARE MODE`,
  )
  await requirePrimary(session, keyring)
  const open = keyring !== undefined && number(keyring['revision']) === guard
  // By the primary key, so that no row is locked but those named.
  const there = await session.bounded(
    sql`SELECT name, wrap FROM ${tables.secrets} FORCE INDEX (PRIMARY)
      WHERE name IN ${list(batch.map(({ change }) => nameOf(change)))} ORDER BY name FOR UPDATE`,
  )
  const wraps = new Map(there.map((row) => [text(row['name']), text(row['wrap'])]))
  const outcomes = batch.map(({ change }) => decide(change, wraps.get(nameOf(change)), open))
  const winners = batch.flatMap(({ change }, index) => (outcomes[index] === 'done' ? [change] : []))
  for (const statement of statements(tables, winners)) await session.bounded(statement)
  return { answer: outcomes, wrote: winners.length > 0 }
}

function decide(change: Change, there: string | undefined, open: boolean): Outcome {
  if (change.kind !== 'delete') {
    // Before the guard: what took effect is not denied.
    if (there === change.secret.wrap) return 'already'
    if (!open) return 'fenced'
    if (change.kind === 'create') return there === undefined ? 'done' : 'changed'
  }
  if (there === undefined) return 'missing'
  return there === change.expectedWrap ? 'done' : 'changed'
}

function* statements(tables: Tables, winners: readonly Change[]): Generator<Sql> {
  const creates = winners.flatMap((change) => (change.kind === 'create' ? [change.secret] : []))
  const replaces = winners.flatMap((change) => (change.kind === 'replace' ? [change] : []))
  const rewraps = winners.flatMap((change) => (change.kind === 'rewrap' ? [change] : []))
  const deletes = winners.flatMap((change) => (change.kind === 'delete' ? [change.name] : []))
  if (creates.length > 0) {
    const rows = creates.map(({ name, wrap, meta, sealed }) => sql`(${name}, ${wrap}, ${meta}, ${sealed})`)
    yield sql`INSERT INTO ${tables.secrets} (name, wrap, meta, sealed) VALUES ${joined(rows)}`
  }
  if (replaces.length > 0) {
    const sealed = byName(replaces, ({ secret }) => secret.sealed)
    yield sql`UPDATE ${tables.secrets} SET ${header(replaces)}, sealed = ${sealed} WHERE ${named(replaces)}`
  }
  if (rewraps.length > 0) {
    yield sql`UPDATE ${tables.secrets} SET ${header(rewraps)} WHERE ${named(rewraps)}`
  }
  if (deletes.length > 0) yield sql`DELETE FROM ${tables.secrets} WHERE name IN ${list(deletes)}`
}

function header(writes: readonly Write[]): Sql {
  const wrap = byName(writes, ({ secret }) => secret.wrap)
  return sql`wrap = ${wrap}, meta = ${byName(writes, ({ secret }) => secret.meta)}`
}

/** Without ELSE: a name that is not among them would set NULL, which the table refuses. */
function byName<W extends Write>(writes: readonly W[], value: (write: W) => Uint8Array | string): Sql {
  const cases = writes.map((write) => sql`WHEN ${write.secret.name} THEN ${value(write)}`)
  return sql`CASE name ${joined(cases, ' ')} END`
}

function named(writes: readonly Write[]): Sql {
  return sql`name IN ${list(writes.map(({ secret }) => secret.name))}`
}

function sizeOf(change: Change): number {
  // The name stands in the lock's list, in each CASE and in the WHERE.
  const names = 5 * Buffer.byteLength(nameOf(change))
  if (change.kind === 'delete') return names
  const { wrap, meta } = change.secret
  const sealed = change.kind === 'rewrap' ? 0 : change.secret.sealed.length
  return names + wrap.length + Buffer.byteLength(meta) + sealed
}

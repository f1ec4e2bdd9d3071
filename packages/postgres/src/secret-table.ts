import type { Change, Outcome, Page, SecretHeader, StoredSecret } from '@talos/envelope'
import type { Deadline } from './deadline.ts'
import { isReplica } from './failures.ts'
import type { Names } from './names.ts'
import type { Row, Session, Statement } from './session.ts'

/** The most changes and sealed bytes of one statement, which the server and the driver hold in memory several times. */
const MOST_BYTES = 8_388_608

const KINDS = { create: 'c', replace: 'r', rewrap: 'w', delete: 'd' } as const
const OUTCOMES: Readonly<Record<string, Outcome>> = {
  d: 'done',
  a: 'already',
  c: 'changed',
  m: 'missing',
  f: 'fenced',
}

/** Reads and changes secrets, each call by one statement. */
export class SecretTable {
  readonly #read: Statement
  readonly #page: Statement
  readonly #pageExcept: Statement
  readonly #census: Statement
  readonly #apply: Statement

  constructor(names: Names) {
    const secrets = names.of('secrets')
    this.#read = readingSet(
      { name: 'name', wrap: 'wrap', meta: 'meta', sealed: `encode(sealed, 'hex')` },
      `${secrets} WHERE name = ANY ($1::text[])`,
    )
    this.#page = reading(
      `SELECT name, wrap, meta FROM ${secrets} WHERE name > $1::text ORDER BY name LIMIT $2::integer`,
    )
    // In the order of the names, which no re-wrap changes: what moves between KEKs cannot slip behind the cursor.
    this.#pageExcept = reading(`${kekIds(secrets)} SELECT part.* FROM ids CROSS JOIN LATERAL (
  SELECT name, wrap, meta FROM ${secrets}
  WHERE kek_id = ids.id AND name > $1::text ORDER BY kek_id, name LIMIT $2::integer
) part WHERE ids.id IS NOT NULL AND ids.id <> $3::text ORDER BY name LIMIT $2::integer`)
    this.#census = reading(`${kekIds(secrets)} SELECT id, (
  SELECT count(*) FROM (
    SELECT FROM ${secrets} WHERE kek_id = ids.id LIMIT 1 + coalesce(
      (SELECT most FROM unnest($2::text[], $3::bigint[]) AS own (kek_id, most) WHERE own.kek_id = ids.id), $1::bigint
    )
  ) part
) AS records FROM ids WHERE id IS NOT NULL`)
    this.#apply = {
      text: `SELECT ${names.of('apply_changes')}($1::bigint, $2::text, $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[]) AS outcomes`,
      writes: true,
    }
  }

  async read(
    session: Session,
    names: readonly string[],
    deadline: Deadline,
  ): Promise<(StoredSecret | null)[]> {
    const found = new Map<string, StoredSecret>()
    for (const row of await rowsOf(session, this.#read, [names], deadline)) {
      const header = headerOf(row)
      found.set(header.name, { ...header, sealed: Buffer.from(row['sealed'] ?? '', 'hex') })
    }
    return names.map((name) => found.get(name) ?? null)
  }

  async scan(
    session: Session,
    query: { readonly cursor: string | null; readonly limit: number; readonly exceptKekId?: string },
    deadline: Deadline,
  ): Promise<Page<SecretHeader>> {
    const { exceptKekId, limit } = query
    const from = [query.cursor ?? '', limit]
    const rows =
      exceptKekId === undefined
        ? await rowsOf(session, this.#page, from, deadline)
        : await rowsOf(session, this.#pageExcept, [...from, exceptKekId], deadline)
    const items = rows.map(headerOf)
    return { items, next: items.length === limit ? (items.at(-1)?.name ?? null) : null }
  }

  /**
   * Counts records by KEK.
   *
   * @param most.upTo - Where counting stops, `null` for nowhere; a KEK with more records has a count one above it.
   * @param most.upToOf - The same for single KEKs, by id.
   */
  async census(
    session: Session,
    most: { readonly upTo: number | null; readonly upToOf: Readonly<Record<string, number>> },
    deadline: Deadline,
  ): Promise<Map<string, number>> {
    const values = [most.upTo, Object.keys(most.upToOf), Object.values(most.upToOf)]
    const rows = await rowsOf(session, this.#census, values, deadline)
    return new Map(rows.map(({ id, records }) => [id ?? '', Number(records)]))
  }

  /** Applies changes that are few enough for one statement; see {@link inParts}. */
  async apply(
    session: Session,
    guard: number,
    changes: readonly Change[],
    deadline: Deadline,
  ): Promise<readonly Outcome[]> {
    const carries = changes.some(({ kind }) => kind === 'create' || kind === 'replace')
    const values = [
      guard,
      changes.map(({ kind }) => KINDS[kind]).join(''),
      changes.map((change) => (change.kind === 'delete' ? change.name : change.secret.name)),
      changes.map((change) => (change.kind === 'create' ? null : change.expectedWrap)),
      changes.map((change) => (change.kind === 'delete' ? null : change.secret.wrap)),
      changes.map((change) => (change.kind === 'delete' ? null : change.secret.meta)),
      carries ? changes.map(sealedOf) : [],
    ]
    const [row] = await session.run(this.#apply, values, deadline)
    return [...(row?.['outcomes'] ?? '')].map((letter) => OUTCOMES[letter] ?? 'missing')
  }
}

/** Splits the changes of a call so that no part is too long for one statement. */
export function* inParts(changes: readonly Change[]): Generator<readonly Change[]> {
  let part: Change[] = []
  let bytes = 0
  for (const change of changes) {
    const own = change.kind === 'create' || change.kind === 'replace' ? change.secret.sealed.length : 0
    if (bytes + own > MOST_BYTES && part.length > 0) {
      yield part
      part = []
      bytes = 0
    }
    part.push(change)
    bytes += own
  }
  if (part.length > 0) yield part
}

/** A reading statement that says with every answer whether the server is a replica: a failover can change that unseen. */
export function reading(text: string): Statement {
  return {
    text: `SELECT here.replica, found.* FROM (SELECT pg_is_in_recovery() AS replica) here LEFT JOIN LATERAL (${text}) found ON true`,
    writes: false,
  }
}

/**
 * The same for rows in no order, which the server plans in half the time: one row more says whether it is a replica.
 *
 * @param columns - Expressions by the names of their columns.
 * @param from - What follows FROM.
 */
export function readingSet(columns: Readonly<Record<string, string>>, from: string): Statement {
  const names = Object.keys(columns)
  return {
    text: `SELECT pg_is_in_recovery() AS replica, ${names.map((name) => `NULL AS ${name}`).join(', ')}
UNION ALL SELECT NULL, ${Object.values(columns).join(', ')} FROM ${from}`,
    writes: false,
  }
}

/** Runs a {@link reading} or {@link readingSet} statement. */
export async function rowsOf(
  session: Session,
  statement: Statement,
  values: readonly unknown[],
  deadline: Deadline,
): Promise<readonly Row[]> {
  const rows = await session.run(statement, values, deadline)
  if (!rows.some(({ replica }) => replica === 'f')) throw isReplica()
  // A row that only says where it comes from is of nulls; the first column found is never null otherwise.
  return rows.filter((row) => Object.values(row)[1] !== null)
}

/** The KEK ids in use, each found by one step down the index. */
function kekIds(secrets: string): string {
  return `WITH RECURSIVE ids (id) AS (
  (SELECT kek_id FROM ${secrets} ORDER BY kek_id LIMIT 1)
  UNION ALL
  SELECT (SELECT s.kek_id FROM ${secrets} s WHERE s.kek_id > ids.id ORDER BY s.kek_id LIMIT 1) FROM ids
  WHERE ids.id IS NOT NULL
)`
}

function headerOf(row: Row): SecretHeader {
  return { name: row['name'] ?? '', wrap: row['wrap'] ?? '', meta: row['meta'] ?? '' }
}

/** `pg` writes a Buffer in an array as bytea, and knows no other array of bytes there. */
function sealedOf(change: Change): Buffer | null {
  if (change.kind !== 'create' && change.kind !== 'replace') return null
  const { buffer, byteOffset, byteLength } = change.secret.sealed
  return Buffer.from(buffer, byteOffset, byteLength)
}

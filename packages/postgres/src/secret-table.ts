import type { Change, NameRange, Outcome, Page, ScanQuery, SecretHeader, StoredSecret } from '@talos/envelope'
import type { Deadline } from './deadline.ts'
import { isReplica } from './failures.ts'
import type { Names } from './names.ts'
import type { Row, Session, Statement } from './session.ts'
import { textArray } from './text-array.ts'

/** The most changes and sealed bytes of one statement, which the server and the driver hold in memory several times. */
const MOST_BYTES = 8_388_608

/** Blocks of the table that are looked into for the borders of shards: at 8 KiB, 16 MiB. */
const SAMPLED_BLOCKS = 2_000
/** A shard with fewer records is not worth its lease. */
const RECORDS_PER_SHARD = 20_000

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
  readonly #pageUpTo: Statement
  readonly #pageExcept: Statement
  readonly #pageExceptUpTo: Statement
  readonly #borders: Statement
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
    // Cut behind the limit: by two bounds the planner expects so few records that it reads and sorts the shard for every page.
    this.#pageUpTo = reading(
      `SELECT page.* FROM (
  SELECT name, wrap, meta FROM ${secrets} WHERE name > $1::text ORDER BY name LIMIT $2::integer
) page WHERE name <= $3::text`,
    )
    this.#pageExcept = reading(pageExcept(secrets, 'kek_id = ids.id AND name > $1::text'))
    // Rows of two columns are compared alike and planned as if they were many. The end of the shard is a bound of the index
    // here, or a page would go on through all that the other shards have re-wrapped and nobody has vacuumed yet.
    this.#pageExceptUpTo = reading(
      pageExcept(secrets, '(kek_id, name) > (ids.id, $1::text) AND (kek_id, name) <= (ids.id, $4::text)'),
    )
    this.#borders = reading(borders(secrets, names.literal('secrets')))
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
    query: ScanQuery & { readonly range: NameRange },
    deadline: Deadline,
  ): Promise<Page<SecretHeader>> {
    const { exceptKekId, limit, range } = query
    const upTo = range.upTo === null ? [] : [range.upTo]
    const from = [query.cursor ?? range.after, limit]
    const rows =
      exceptKekId === undefined
        ? await rowsOf(session, upTo.length === 0 ? this.#page : this.#pageUpTo, [...from, ...upTo], deadline)
        : await rowsOf(
            session,
            upTo.length === 0 ? this.#pageExcept : this.#pageExceptUpTo,
            [...from, exceptKekId, ...upTo],
            deadline,
          )
    const items = rows.map(headerOf)
    return { items, next: items.length === limit ? (items.at(-1)?.name ?? null) : null }
  }

  /** The names at which the records divide into shards of about one size, ascending; none for few records. */
  async borders(session: Session, atMost: number, deadline: Deadline): Promise<readonly string[]> {
    if (atMost === 1) return []
    const rows = await rowsOf(session, this.#borders, [atMost], deadline)
    return rows.map(({ name }) => name ?? '')
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
      textArray(changes.map((change) => (change.kind === 'delete' ? change.name : change.secret.name))),
      textArray(changes.map((change) => (change.kind === 'create' ? null : change.expectedWrap))),
      textArray(changes.map((change) => (change.kind === 'delete' ? null : change.secret.wrap))),
      textArray(changes.map((change) => (change.kind === 'delete' ? null : change.secret.meta))),
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

/** In the order of the names, which no re-wrap changes: what moves between KEKs cannot slip behind the cursor. */
function pageExcept(secrets: string, where: string): string {
  return `${kekIds(secrets)} SELECT part.* FROM ids CROSS JOIN LATERAL (
  SELECT name, wrap, meta FROM ${secrets} WHERE ${where} ORDER BY kek_id, name LIMIT $2::integer
) part WHERE ids.id IS NOT NULL AND ids.id <> $3::text ORDER BY name LIMIT $2::integer`
}

/**
 * Divides the names of some blocks, chosen at random, which costs the same for a table of any length. Borders need not be
 * exact, and statistics of the planner, which would cost nothing, may be old or missing.
 */
function borders(secrets: string, secretsLiteral: string): string {
  const table = `${secretsLiteral}::regclass`
  // A partitioned table has no blocks of its own, and one that is not has no tree.
  const bytes = `coalesce((SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree(${table})), pg_relation_size(${table}))`
  const blocks = `${bytes} / current_setting('block_size')::bigint`
  const percent = `least(100.0, 100.0 * ${SAMPLED_BLOCKS} / greatest(1, ${blocks}))`
  return `WITH sampled AS MATERIALIZED (SELECT name FROM ${secrets} TABLESAMPLE SYSTEM (${percent})), wanted AS (
  SELECT least($1::integer, floor(count(*) * 100.0 / ${percent} / ${RECORDS_PER_SHARD}))::integer AS shards FROM sampled
) SELECT DISTINCT unnest(percentile_disc(
  ARRAY(SELECT n::float8 / shards FROM wanted, generate_series(1, shards - 1) AS n)
) WITHIN GROUP (ORDER BY name)) AS name FROM sampled ORDER BY name`
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

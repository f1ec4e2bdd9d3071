import { randomBytes } from 'node:crypto'
import type { CallOptions, Change, Outcome, SecretHeader, SecretStore, StoredSecret } from '@talos/envelope'
import {
  checkChanges,
  checkDocument,
  checkNames,
  KEYRING_DOCUMENT,
  pageLimit,
  StoreError,
} from '@talos/envelope'
import type { Connection, Pool } from 'mysql2/promise'
import { applyChanges, batches } from './changes.ts'
import { Client } from './client.ts'
import { DOCUMENT_COLUMNS, documentOf, replaceDocument } from './documents.ts'
import { examine, refuseFollower } from './fitness.ts'
import { Participant } from './participant.ts'
import { SCHEMA_VERSION, schemaStatements, tablesOf } from './schema.ts'
import { type Row, type Session, text } from './session.ts'
import { list, type Sql, sql } from './sql.ts'

/** A value of 1 MiB, its nonce and its tag. */
export const MAX_SEALED_BYTES: number = 1_048_576 + 28

export interface MariadbStoreOptions {
  /** A pool of `mysql2/promise` with a `database`. It stays the caller's: it is neither closed nor set up anew. */
  readonly pool: Pool
  /**
   * What the names of the tables begin with: 1 to 30 of `a-z`, `0-9` and `_`. Each namespace has a store of its own.
   *
   * @defaultValue `talos_`
   */
  readonly tablePrefix?: string
}

/** A store in MariaDB. */
export interface MariadbStore extends SecretStore {
  /**
   * Makes the tables where they are missing. May be run again, and by several processes at once.
   *
   * @throws StoreError `ERR_STORE_CONFIGURATION`, `ERR_STORE_UNAVAILABLE`, `ERR_STORE_OUTCOME_UNKNOWN`.
   */
  migrate(options?: CallOptions): Promise<void>
  /**
   * Gives the store's data a new incarnation. To be called after every restore, before a vault is opened.
   *
   * @throws StoreError as `writeDocument` does.
   */
  renewIncarnation(options?: CallOptions): Promise<void>
  /**
   * Makes a view of the store whose reads and writes of secrets are part of a transaction of the caller. Everything else
   * goes through the pool.
   *
   * @param connection - Has an open transaction, which the caller commits or rolls back. After an error it must be
   *   rolled back.
   */
  within(connection: Connection): SecretStore
}

/** Keeps secrets in MariaDB. Nothing is sent before the first call. @throws TypeError for a wrong `tablePrefix` */
export function mariadbStore({ pool, tablePrefix = 'talos_' }: MariadbStoreOptions): MariadbStore {
  const tables = tablesOf(tablePrefix)
  const client = new Client(pool)

  /** Rows from the primary: with no row at all the answer still says whether the server is read-only. */
  async function authoritative(session: Session, columns: Sql, rest: Sql): Promise<readonly Row[]> {
    const rows = await session.bounded(
      sql`SELECT server.follower, ${columns}
        FROM (SELECT @@GLOBAL.read_only AS follower) AS server LEFT JOIN ${rest}`,
    )
    refuseFollower(Number(rows[0]?.['follower'] ?? 0) === 1)
    return rows
  }

  const store: MariadbStore = {
    identify: (options) =>
      client.call(options, (call) =>
        call.read(async (session) => {
          const { serverId, reasons } = await examine(session)
          const [row] = await session.bounded(sql`SELECT version, random FROM ${tables.store} WHERE id = 1`)
          if (row === undefined || Number(row['version']) !== SCHEMA_VERSION) {
            throw new StoreError(
              'ERR_STORE_NOT_MIGRATED',
              'the store has no tables of this version; run migrate()',
            )
          }
          return {
            kind: 'mariadb',
            incarnation: `${text(row['random'])}-${serverId}`,
            level: reasons.length === 0 ? 'strong' : 'advisory',
            reasons,
            maxSealedBytes: MAX_SEALED_BYTES,
          }
        }),
      ),
    async read(names, options) {
      checkNames(names)
      if (names.length === 0) return []
      const columns = sql`s.name, s.wrap, s.meta, s.sealed`
      const rest = sql`${tables.secrets} AS s ON s.name IN ${list(names)}`
      const rows = await client.call(options, (call) =>
        call.read((session) => authoritative(session, columns, rest)),
      )
      return inOrder(names, rows)
    },
    async scan({ cursor, limit: wanted, exceptKekId }, options) {
      const limit = pageLimit(wanted)
      const except = exceptKekId === undefined ? sql`` : sql` AND s.kek_id <> ${exceptKekId}`
      const rows = await client.call(options, (call) =>
        call.read((session) =>
          authoritative(
            session,
            sql`s.name, s.wrap, s.meta`,
            sql`${tables.secrets} AS s ON s.name > ${cursor ?? ''}${except} ORDER BY s.name LIMIT ${limit}`,
          ),
        ),
      )
      const items = rows.filter((row) => row['name'] !== null).map(headerOf)
      return { items, next: items.length === limit ? (items.at(-1)?.name ?? null) : null }
    },
    async write(guard, changes, options) {
      checkChanges(changes, MAX_SEALED_BYTES)
      return client.call(options, async (call) => {
        const outcomes = new Array<Outcome>(changes.length)
        for (const batch of batches(changes)) {
          const answers = await call.transaction((session) => applyChanges(session, tables, guard, batch))
          for (const [index, { place }] of batch.entries()) outcomes[place] = answers[index] as Outcome
        }
        return outcomes
      })
    },
    async census(options) {
      const counts = sql`(SELECT kek_id, COUNT(*) AS records FROM ${tables.secrets} GROUP BY kek_id) AS s ON TRUE`
      const rows = await client.call(options, (call) =>
        call.read((session) => authoritative(session, sql`s.kek_id, s.records`, counts)),
      )
      const counted = rows.filter((row) => row['kek_id'] !== null)
      return new Map(counted.map((row) => [text(row['kek_id']), Number(row['records'])]))
    },
    async readDocument(key, options) {
      const rows = await client.call(options, (call) =>
        call.read((session) =>
          authoritative(session, DOCUMENT_COLUMNS, sql`${tables.documents} AS d ON d.name = ${key}`),
        ),
      )
      const row = rows.find(({ name }) => name !== null)
      return row === undefined ? null : documentOf(row)
    },
    async writeDocument(key, expectedRevision, value, options) {
      checkDocument(key, expectedRevision, value)
      return client.call(options, (call) =>
        call.transaction(
          (session) => replaceDocument(session, tables, key, expectedRevision, value),
          // A fence that has stood aside lets the writers pass that waited behind it.
          key === KEYRING_DOCUMENT ? 20 : 0,
        ),
      )
    },
    async listDocuments({ prefix, cursor, limit: wanted }, options) {
      const limit = pageLimit(wanted)
      // No LIKE: keys are visible ASCII, so all that begin with the prefix lie before it with U+007F behind.
      const within = sql`d.name >= ${prefix} AND d.name < ${`${prefix}\u007f`} AND d.name > ${cursor ?? ''}`
      const rows = await client.call(options, (call) =>
        call.read((session) =>
          authoritative(
            session,
            DOCUMENT_COLUMNS,
            sql`${tables.documents} AS d ON ${within} ORDER BY d.name LIMIT ${limit}`,
          ),
        ),
      )
      const items = rows.filter(({ name }) => name !== null).map(documentOf)
      return { items, next: items.length === limit ? (items.at(-1)?.key ?? null) : null }
    },
    migrate: (options) =>
      client.call(options, (call) =>
        call.read(async (session) => {
          for (const statement of schemaStatements(tables, newId())) await session.bounded(statement)
        }),
      ),
    renewIncarnation: (options) =>
      client.call(options, (call) =>
        call.transaction(async (session) => {
          await session.bounded(sql`UPDATE ${tables.store} SET random = ${newId()} WHERE id = 1`)
          return { answer: undefined, wrote: true }
        }),
      ),
    within: (connection) => {
      const participant = new Participant(connection, tables)
      return {
        ...store,
        async read(names, options) {
          checkNames(names)
          return names.length === 0 ? [] : inOrder(names, await participant.read(names, options))
        },
        async write(guard: number, changes: readonly Change[], options?: CallOptions) {
          checkChanges(changes, MAX_SEALED_BYTES)
          return participant.write(guard, changes, options)
        },
      }
    },
  }
  return store
}

function newId(): string {
  return randomBytes(16).toString('hex')
}

function headerOf(row: Row): SecretHeader {
  return { name: text(row['name']), wrap: text(row['wrap']), meta: text(row['meta']) }
}

function inOrder(names: readonly string[], rows: readonly Row[]): readonly (StoredSecret | null)[] {
  const found = new Map<string, StoredSecret>()
  for (const row of rows) {
    const { sealed } = row
    if (sealed instanceof Uint8Array)
      found.set(text(row['name']), { ...headerOf(row), sealed: new Uint8Array(sealed) })
  }
  return names.map((name) => found.get(name) ?? null)
}

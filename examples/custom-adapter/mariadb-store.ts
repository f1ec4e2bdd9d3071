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
import { examine, FOLLOWER, requirePrimary } from './fitness.ts'
import { Participant } from './participant.ts'
import { SCHEMA_VERSION, schemaStatements, tablesOf } from './schema.ts'
import { number, type Row, text } from './session.ts'
import { list, type Sql, sql } from './sql.ts'

/** How long a fence that could not get its lock lets the writers pass that waited behind it. */
const STAND_ASIDE_MS = 100
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
   * Makes the tables where they are missing. May be run again after any error, and by several processes at once.
   *
   * @throws StoreError `ERR_STORE_CONFIGURATION`, `ERR_STORE_UNAVAILABLE`.
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

  /** Reads rows, and whether the server that answers may still be asked. */
  function rowsOf(options: CallOptions | undefined, columns: Sql, rest: Sql): Promise<readonly Row[]> {
    return client.call(options, (call) =>
      call.read(async (session) => {
        const rows = await session.bounded(sql`SELECT ${FOLLOWER}, ${columns} FROM ${rest}`)
        await requirePrimary(session, rows[0])
        return rows
      }),
    )
  }

  const store: MariadbStore = {
    identify: (options) =>
      client.call(options, (call) =>
        call.read(async (session) => {
          const { serverId, reasons } = await examine(session)
          const [row] = await session.bounded(sql`SELECT version, random FROM ${tables.store} WHERE id = 1`)
          if (row === undefined || number(row['version']) !== SCHEMA_VERSION) {
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
      const rest = sql`${tables.secrets} WHERE name IN ${list(names)}`
      const rows = await rowsOf(options, sql`name, wrap, meta, sealed`, rest)
      return inOrder(names, rows)
    },
    async scan({ cursor, limit: wanted, exceptKekId }, options) {
      const limit = pageLimit(wanted)
      const except = exceptKekId === undefined ? sql`` : sql` AND kek_id <> ${exceptKekId}`
      const rest = sql`${tables.secrets} WHERE name > ${cursor ?? ''}${except} ORDER BY name LIMIT ${limit}`
      const items = (await rowsOf(options, sql`name, wrap, meta`, rest)).map(headerOf)
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
      const rows = await rowsOf(
        options,
        sql`kek_id, COUNT(*) AS records`,
        sql`${tables.secrets} GROUP BY kek_id`,
      )
      return new Map(rows.map((row) => [text(row['kek_id']), number(row['records'])]))
    },
    async readDocument(key, options) {
      const [row] = await rowsOf(options, DOCUMENT_COLUMNS, sql`${tables.documents} WHERE name = ${key}`)
      return row === undefined ? null : documentOf(row)
    },
    async writeDocument(key, expectedRevision, value, options) {
      checkDocument(key, expectedRevision, value)
      return client.call(options, (call) =>
        call.transaction(
          (session, attempt) => replaceDocument(session, tables, key, expectedRevision, value, attempt),
          key === KEYRING_DOCUMENT ? STAND_ASIDE_MS : 0,
        ),
      )
    },
    async listDocuments({ prefix, cursor, limit: wanted }, options) {
      const limit = pageLimit(wanted)
      // No LIKE: keys are visible ASCII, so all that begin with the prefix lie before it with U+007F behind.
      const range = sql`name >= ${prefix} AND name < ${`${prefix}\u007f`} AND name > ${cursor ?? ''}`
      const rest = sql`${tables.documents} WHERE ${range} ORDER BY name LIMIT ${limit}`
      const items = (await rowsOf(options, DOCUMENT_COLUMNS, rest)).map(documentOf)
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
    const header = headerOf(row)
    found.set(header.name, { ...header, sealed: new Uint8Array(row['sealed'] ?? []) })
  }
  return names.map((name) => found.get(name) ?? null)
}

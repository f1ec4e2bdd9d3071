import { setImmediate } from 'node:timers/promises'
import {
  type CallOptions,
  type Change,
  checkChanges,
  checkDocument,
  checkNames,
  KEYRING_DOCUMENT,
  nameRangeOf,
  nameShards,
  type Outcome,
  type Page,
  pageLimit,
  type ScanQuery,
  type SecretHeader,
  type SecretStore,
  type StoredDocument,
  type StoredSecret,
  StoreError,
  type StoreIdentity,
  shardLimit,
} from '@talos/envelope'
import { bordersOf } from './borders.ts'
import { Connection } from './connection.ts'
import type { SqliteDatabase } from './database.ts'
import { Deadline, pause } from './deadline.ts'
import { DocumentTable } from './document-table.ts'
import { Busy } from './failures.ts'
import { checkMigrated, migrate } from './migrate.ts'
import { checkTablePrefix, DEFAULT_TABLE_PREFIX, newIncarnation } from './schema.ts'
import { SecretTables } from './secret-tables.ts'
import { TRANSACTION_LIMIT, type Weight, WriteQueue } from './write-queue.ts'

const MAX_SEALED_BYTES = 1_048_576 + 28
const ONE_CHANGE = { changes: 1, bytes: 0 }

/** Options of {@link sqliteStore}. */
export interface SqliteStoreOptions {
  /** An open connection, best by `openSqliteDatabase`, that nobody else begins transactions on. It stays the caller's. */
  readonly database: SqliteDatabase
  /** What the names of the store's tables begin with; each prefix is a store of its own. @defaultValue `talos_` */
  readonly tablePrefix?: string
  /** Wall clock in milliseconds since 1970, for the age of documents. @defaultValue Date.now */
  readonly now?: () => number
}

/** A store in a SQLite database, with what an operator does to it. */
export interface SqliteStore extends SecretStore {
  /**
   * Makes the store's tables, or brings them up to date, in one transaction. May be called at every start and by several
   * processes at once. `migrationSql()` prints what it runs.
   *
   * @throws StoreError `ERR_STORE_NOT_MIGRATED` for tables of a newer version of this package;
   * `ERR_STORE_CONFIGURATION` for a connection that is not set up as it must be, with the line to run.
   */
  migrate(options?: CallOptions): Promise<void>

  /**
   * Says that writes may have been lost: to be called after the file was restored from a backup, which is the one thing
   * about itself that a file cannot know.
   *
   * @returns The new incarnation.
   */
  renewIncarnation(options?: CallOptions): Promise<string>
}

/**
 * Makes a store of a SQLite database. Nothing is read or written before the first call.
 *
 * @throws TypeError for a table prefix that is no identifier.
 */
export function sqliteStore(options: SqliteStoreOptions): SqliteStore {
  return new Store(options)
}

class Store implements SqliteStore {
  readonly #prefix: string
  readonly #connection: Connection
  readonly #queue: WriteQueue
  readonly #secrets: SecretTables
  readonly #documents: DocumentTable
  #migrated = false

  constructor(options: SqliteStoreOptions) {
    this.#prefix = checkTablePrefix(options.tablePrefix ?? DEFAULT_TABLE_PREFIX)
    this.#connection = new Connection(options.database)
    this.#queue = new WriteQueue(this.#connection)
    this.#secrets = new SecretTables(this.#connection, this.#prefix)
    this.#documents = new DocumentTable(this.#connection, this.#prefix, options.now ?? Date.now)
  }

  migrate(options?: CallOptions): Promise<void> {
    return whenFree(options, () => migrate(this.#connection, this.#prefix))
  }

  renewIncarnation(options?: CallOptions): Promise<string> {
    return this.#write(ONE_CHANGE, new Deadline(options), () => {
      this.#connection.statement(newIncarnation(this.#prefix)).run()
      return this.#incarnation()
    })
  }

  identify(options?: CallOptions): Promise<StoreIdentity> {
    return this.#read(options, () => {
      const inMemory = this.#connection.checkSettings()
      return {
        kind: 'sqlite',
        incarnation: this.#incarnation(),
        level: inMemory ? 'advisory' : 'strong',
        reasons: inMemory ? ['the database is in memory and is lost when its connection is closed'] : [],
        maxSealedBytes: MAX_SEALED_BYTES,
      }
    })
  }

  async read(names: readonly string[], options?: CallOptions): Promise<readonly (StoredSecret | null)[]> {
    checkNames(names)
    return this.#read(options, () => names.map((name) => this.#secrets.read(name)))
  }

  async scan(query: ScanQuery, options?: CallOptions): Promise<Page<SecretHeader>> {
    const limit = pageLimit(query.limit)
    const { after, upTo } = nameRangeOf(query.shard)
    const range = { after: query.cursor ?? after, upTo }
    // A loop over pages would otherwise run in microtasks alone and let nobody else have a turn.
    await setImmediate()
    return this.#read(options, () => this.#secrets.scan(range, limit, query.exceptKekId))
  }

  async write(guard: number, changes: readonly Change[], options?: CallOptions): Promise<readonly Outcome[]> {
    checkChanges(changes, MAX_SEALED_BYTES)
    const deadline = new Deadline(options)
    const outcomes: Outcome[] = []
    for (const part of inParts(changes)) {
      try {
        const done = await this.#write(part.weight, deadline, () => {
          const open = this.#documents.revision(KEYRING_DOCUMENT) === guard
          return part.changes.map((change) => this.#secrets.apply(change, open))
        })
        outcomes.push(...done)
      } catch (error) {
        if (!outcomes.includes('done')) throw error
        throw new StoreError(
          'ERR_STORE_OUTCOME_UNKNOWN',
          `the first ${outcomes.length} of ${changes.length} changes were decided, the others may not be; repeat the call`,
          { retryable: true, cause: error },
        )
      }
    }
    return outcomes
  }

  census(options?: CallOptions): Promise<ReadonlyMap<string, number>> {
    return this.#read(options, () => this.#secrets.census())
  }

  readDocument(key: string, options?: CallOptions): Promise<StoredDocument | null> {
    return this.#read(options, () => this.#documents.read(key))
  }

  async writeDocument(
    key: string,
    expectedRevision: number,
    value: string | null,
    options?: CallOptions,
  ): Promise<number | null> {
    checkDocument(key, expectedRevision, value)
    return this.#write(ONE_CHANGE, new Deadline(options), () =>
      this.#documents.write(key, expectedRevision, value),
    )
  }

  async listDocuments(
    query: { readonly prefix: string; readonly cursor: string | null; readonly limit: number },
    options?: CallOptions,
  ): Promise<Page<StoredDocument>> {
    const limit = pageLimit(query.limit)
    return this.#read(options, () => this.#documents.list(query.prefix, query.cursor ?? '', limit))
  }

  async shards(atMost: number, options?: CallOptions): Promise<readonly string[]> {
    shardLimit(atMost)
    const deadline = new Deadline(options)
    return nameShards(await bordersOf(this.#secrets, (step) => this.#read(deadline, step), atMost))
  }

  #incarnation(): string {
    const row = this.#connection.statement(`SELECT incarnation FROM ${this.#prefix}store`).get()
    return (row as { incarnation: string }).incarnation
  }

  /** All that a step reads is of one moment, and of no transaction that somebody else has open on the connection. */
  async #read<T>(options: CallOptions | Deadline | undefined, step: () => T): Promise<T> {
    return whenFree(options, () => this.#connection.transaction('read', () => this.#afterCheck(step)))
  }

  #write<T>(weight: Weight, deadline: Deadline, step: () => T): Promise<T> {
    return this.#queue.add(weight, deadline, () => this.#afterCheck(step))
  }

  #afterCheck<T>(step: () => T): T {
    if (!this.#migrated) checkMigrated(this.#connection, this.#prefix)
    this.#migrated = true
    return step()
  }
}

/** Makes attempts until nobody is in the way or the call's time is up. */
async function whenFree<T>(options: CallOptions | Deadline | undefined, step: () => T): Promise<T> {
  const deadline = options instanceof Deadline ? options : new Deadline(options)
  let obstacle: Busy | null = null
  for (let attempt = 1; ; attempt += 1) {
    const end = deadline.passed(obstacle)
    if (end !== null) throw end
    try {
      return step()
    } catch (error) {
      if (!(error instanceof Busy)) throw error
      obstacle = error
    }
    await pause(attempt, deadline.leftMs)
  }
}

/** Splits the changes of a call so that no part alone makes a transaction too long. */
function* inParts(changes: readonly Change[]) {
  let part: Change[] = []
  let bytes = 0
  for (const change of changes) {
    const own = change.kind === 'create' || change.kind === 'replace' ? change.secret.sealed.length : 0
    const full = part.length === TRANSACTION_LIMIT.changes || bytes + own > TRANSACTION_LIMIT.bytes
    if (full && part.length > 0) {
      yield { changes: part, weight: { changes: part.length, bytes } }
      part = []
      bytes = 0
    }
    part.push(change)
    bytes += own
  }
  if (part.length > 0) yield { changes: part, weight: { changes: part.length, bytes } }
}

import {
  type CallOptions,
  type CensusOptions,
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
import type { PostgresClient, PostgresPool } from './client.ts'
import { Deadline } from './deadline.ts'
import { DocumentTable } from './document-table.ts'
import { writeKeyring } from './fence.ts'
import { identify, MAX_SEALED_BYTES } from './identity.ts'
import { checkMigrated, migrate } from './migrate.ts'
import { type Names, namesOf, type Place } from './names.ts'
import { renewIncarnation } from './schema.ts'
import { inParts, SecretTable } from './secret-table.ts'
import { PoolSession, type Session, TransactionSession } from './session.ts'

const DEFAULT_MAX_WRITE_STALL_MS = 2_000
const FENCE_TIMEOUT_MS = 60_000

export interface PostgresStoreOptions extends Place {
  /** A `Pool` of `pg`. It stays the caller's, who ends it after the store is not used any more. */
  readonly pool: PostgresPool
  /**
   * The longest that a change of the keyring document keeps writes waiting at a time, in milliseconds from 1. It gets past
   * a transaction of the application that takes longer than this only between two such transactions.
   *
   * @defaultValue 2_000
   */
  readonly maxWriteStallMs?: number
  /**
   * Whether connections keep the store's statements as prepared ones. Saves the server's planning; a pooler that shares
   * connections between transactions, as PgBouncer does, may not know them.
   *
   * @defaultValue false
   */
  readonly preparedStatements?: boolean
}

/** A store in a PostgreSQL database, with what an operator does to it. */
export interface PostgresStore extends SecretStore {
  /**
   * Makes the store's tables and functions, or brings them up to date, in one transaction. May be called at every start and by
   * several processes at once. `migrationSql()` prints what it runs, `grantSql()` what another role needs to use them.
   *
   * @throws StoreError `ERR_STORE_NOT_MIGRATED` for tables of a newer version of this package;
   * `ERR_STORE_CONFIGURATION` for a server, database or role that cannot hold them, and for names that are taken.
   */
  migrate(options?: CallOptions): Promise<void>

  /**
   * Says that writes may have been lost: to be called after the tables were emptied and filled from a backup, or the disk was
   * set back under a stopped server, which a server cannot know about itself.
   *
   * @returns The new incarnation.
   */
  renewIncarnation(options?: CallOptions): Promise<string>

  /**
   * Makes a view of this store whose calls run on the application's client, inside the transaction that the application has
   * begun there: what they write takes effect, or does not, with everything else in it. After an error the transaction can only
   * be rolled back. The fence waits for such a transaction, so it should be short.
   *
   * The keyring document cannot be written there: all writers would wait until the transaction ends.
   *
   * @param client - A client of the same database, with a transaction open whenever the view writes.
   */
  within(client: PostgresClient): SecretStore
}

/**
 * Makes a store of a PostgreSQL database, 15 or later. Nothing is read or written before the first call.
 *
 * @throws TypeError for names that PostgreSQL cannot take, or a `maxWriteStallMs` below 1.
 */
export function postgresStore(options: PostgresStoreOptions): PostgresStore {
  return new Store(options)
}

/** What the calls on a store and on its views share. */
class Core {
  readonly names: Names
  readonly secrets: SecretTable
  readonly documents: DocumentTable
  readonly #checked = { migrated: false }

  constructor(names: Names) {
    this.names = names
    this.secrets = new SecretTable(names)
    this.documents = new DocumentTable(names)
  }

  /** Checks once, before the first call, that the tables are there and of this version. */
  async ready(session: Session, deadline: Deadline): Promise<void> {
    if (this.#checked.migrated) return
    await checkMigrated(session, this.names, deadline)
    this.#checked.migrated = true
  }
}

/** The contract on some session. */
class View implements SecretStore {
  protected readonly core: Core
  readonly #session: Session

  constructor(core: Core, session: Session) {
    this.core = core
    this.#session = session
  }

  identify(options?: CallOptions): Promise<StoreIdentity> {
    return this.call(options, (deadline) => identify(this.#session, this.core.names, deadline))
  }

  async read(names: readonly string[], options?: CallOptions): Promise<readonly (StoredSecret | null)[]> {
    checkNames(names)
    return this.call(options, (deadline) => this.core.secrets.read(this.#session, names, deadline))
  }

  async scan(query: ScanQuery, options?: CallOptions): Promise<Page<SecretHeader>> {
    const bounded = { ...query, limit: pageLimit(query.limit), range: nameRangeOf(query.shard) }
    return this.call(options, (deadline) => this.core.secrets.scan(this.#session, bounded, deadline))
  }

  async write(guard: number, changes: readonly Change[], options?: CallOptions): Promise<readonly Outcome[]> {
    checkChanges(changes, MAX_SEALED_BYTES)
    for (const [index, change] of changes.entries()) {
      if (change.kind !== 'delete') checkKeepable(change.secret.meta, `changes[${index}].secret.meta`)
    }
    return this.call(options, async (deadline) => {
      const outcomes: Outcome[] = []
      for (const part of inParts(changes)) {
        try {
          outcomes.push(...(await this.core.secrets.apply(this.#session, guard, part, deadline)))
        } catch (error) {
          throw this.#failureOf(error, outcomes, changes.length)
        }
      }
      return outcomes
    })
  }

  /** The error of a call of which one statement failed and others may have taken effect. */
  #failureOf(error: unknown, decided: readonly Outcome[], changes: number): unknown {
    if (this.#session.inside || !(error instanceof StoreError) || !decided.includes('done')) return error
    return new StoreError(
      'ERR_STORE_OUTCOME_UNKNOWN',
      `${decided.length} of ${changes} changes were decided, the others may not be; repeat the call`,
      { retryable: true, cause: error },
    )
  }

  async census(options?: CensusOptions): Promise<ReadonlyMap<string, number>> {
    const { upTo = null, upToOf = {} } = options ?? {}
    for (const limit of [...(upTo === null ? [] : [upTo]), ...Object.values(upToOf)]) {
      if (!Number.isSafeInteger(limit) || limit < 0) throw new TypeError('upTo, upToOf: need integers from 0')
    }
    return this.call(options, (deadline) =>
      this.core.secrets.census(this.#session, { upTo, upToOf }, deadline),
    )
  }

  readDocument(key: string, options?: CallOptions): Promise<StoredDocument | null> {
    return this.call(options, (deadline) => this.core.documents.read(this.#session, key, deadline))
  }

  async writeDocument(
    key: string,
    expectedRevision: number,
    value: string | null,
    options?: CallOptions,
  ): Promise<number | null> {
    checkDocument(key, expectedRevision, value)
    if (value !== null) checkKeepable(value, 'value')
    if (key === KEYRING_DOCUMENT) return this.writeKeyring(expectedRevision, value, options)
    return this.call(options, (deadline) =>
      this.core.documents.write(this.#session, key, expectedRevision, value, deadline),
    )
  }

  async listDocuments(
    query: { readonly prefix: string; readonly cursor: string | null; readonly limit: number },
    options?: CallOptions,
  ): Promise<Page<StoredDocument>> {
    const bounded = { ...query, limit: pageLimit(query.limit) }
    return this.call(options, (deadline) => this.core.documents.list(this.#session, bounded, deadline))
  }

  async shards(atMost: number, options?: CallOptions): Promise<readonly string[]> {
    shardLimit(atMost)
    return this.call(options, async (deadline) =>
      nameShards(await this.core.secrets.borders(this.#session, atMost, deadline)),
    )
  }

  protected writeKeyring(
    _expectedRevision: number,
    _value: string | null,
    _options?: CallOptions,
  ): Promise<number | null> {
    throw new TypeError(
      'the keyring document is not written inside a transaction of the application; use the store itself',
    )
  }

  protected async call<T>(
    options: CallOptions | undefined,
    step: (deadline: Deadline) => Promise<T>,
    defaultTimeoutMs?: number,
  ): Promise<T> {
    const deadline = new Deadline(options, defaultTimeoutMs)
    if (deadline.passed) throw deadline.refusal()
    await this.core.ready(this.#session, deadline)
    return step(deadline)
  }
}

class Store extends View implements PostgresStore {
  readonly #pool: PoolSession
  readonly #maxWriteStallMs: number
  readonly #named: boolean

  constructor(options: PostgresStoreOptions) {
    const named = options.preparedStatements ?? false
    const session = new PoolSession(options.pool, named)
    super(new Core(namesOf(options)), session)
    this.#pool = session
    this.#named = named
    this.#maxWriteStallMs = options.maxWriteStallMs ?? DEFAULT_MAX_WRITE_STALL_MS
    if (!(this.#maxWriteStallMs >= 1)) throw new TypeError('maxWriteStallMs: needs a number from 1')
  }

  async migrate(options?: CallOptions): Promise<void> {
    await migrate(this.#pool, this.core.names, new Deadline(options))
  }

  renewIncarnation(options?: CallOptions): Promise<string> {
    return this.call(options, async (deadline) => {
      const statement = { text: renewIncarnation(this.core.names), writes: true }
      await this.#pool.run(statement, [], deadline)
      return (await identify(this.#pool, this.core.names, deadline)).incarnation
    })
  }

  within(client: PostgresClient): SecretStore {
    return new View(this.core, new TransactionSession(client, this.#named))
  }

  protected override writeKeyring(
    expectedRevision: number,
    value: string | null,
    options?: CallOptions,
  ): Promise<number | null> {
    const change = { expectedRevision, value }
    const maxWriteStallMs = this.#maxWriteStallMs
    const step = (deadline: Deadline) =>
      writeKeyring(this.#pool, this.core.names, this.core.documents, change, { maxWriteStallMs, deadline })
    return this.call(options, step, FENCE_TIMEOUT_MS)
  }
}

/** No text of PostgreSQL holds U+0000. JSON has none either, so this meets nothing that a vault writes. */
function checkKeepable(text: string, where: string): void {
  if (text.includes('\0')) throw new TypeError(`${where}: holds U+0000, which PostgreSQL keeps in no text`)
}

import {
  type CallOptions,
  type Change,
  checkChanges,
  checkDocument,
  checkNames,
  KEYRING_DOCUMENT,
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
import type { DynamodbClient } from './client.ts'
import { lanesOf, lanesOfShard } from './cursor.ts'
import { Deadline } from './deadline.ts'
import { DocumentItems } from './document-items.ts'
import { identify, renewId } from './identity.ts'
import { KeyringItems } from './keyring-items.ts'
import { DEFAULT_KEY_PREFIX, Layout, MAX_SEALED_BYTES } from './layout.ts'
import { Requests } from './requests.ts'
import { SecretItems } from './secret-items.ts'
import { guardNumberOf, inTransactions, Transactions } from './transaction.ts'

const LONG_TIMEOUT_MS = 60_000
const DEFAULT_CONCURRENCY = 8
const MOST_CONCURRENCY = 64

/** Options of {@link dynamodbStore}. */
export interface DynamodbStoreOptions {
  /** A `DynamoDBClient`. It stays the caller's, who destroys it after the store is not used any more. */
  readonly client: DynamodbClient
  /** The table's name or ARN. */
  readonly table: string
  /**
   * What the partition keys of the store's items begin with: 1 to 64 visible ASCII characters without `#`. Each prefix is a
   * store of its own, also beside other things in one table.
   *
   * @defaultValue `talos`
   */
  readonly keyPrefix?: string
  /** Transactions that one `write` has under way at once, 1 to 64. @defaultValue 8 */
  readonly concurrency?: number
}

/** A store in a DynamoDB table, with what an operator does to it. */
export interface DynamodbStore extends SecretStore {
  /**
   * Says that writes may have been lost, and makes the guard items agree with the keyring document again. To be called after
   * items were put back from a backup or an export, while nobody writes.
   *
   * @returns The new incarnation.
   */
  renewIncarnation(options?: CallOptions): Promise<string>
}

/**
 * Makes a store of a DynamoDB table. Nothing is read or written before the first call; `createTable` makes the table.
 *
 * @throws TypeError for a table name, key prefix or concurrency outside of its bounds.
 */
export function dynamodbStore(options: DynamodbStoreOptions): DynamodbStore {
  return new Store(options)
}

class Store implements DynamodbStore {
  readonly #requests: Requests
  readonly #layout: Layout
  readonly #secrets: SecretItems
  readonly #keyring: KeyringItems
  readonly #documents: DocumentItems
  readonly #transactions: Transactions
  readonly #concurrency: number

  constructor(options: DynamodbStoreOptions) {
    const { client, table, keyPrefix = DEFAULT_KEY_PREFIX, concurrency = DEFAULT_CONCURRENCY } = options
    if (typeof table !== 'string' || table === '') throw new TypeError('table: needs the name of a table')
    if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > MOST_CONCURRENCY) {
      throw new TypeError(`concurrency: needs an integer from 1 to ${MOST_CONCURRENCY}`)
    }
    this.#requests = new Requests(client, table)
    this.#layout = new Layout(keyPrefix)
    this.#secrets = new SecretItems(this.#requests, this.#layout)
    this.#keyring = new KeyringItems(this.#requests, this.#layout)
    this.#documents = new DocumentItems(this.#requests, this.#layout, this.#keyring)
    this.#transactions = new Transactions(this.#requests, this.#layout, this.#secrets, this.#keyring)
    this.#concurrency = concurrency
  }

  identify(options?: CallOptions): Promise<StoreIdentity> {
    return identify(this.#requests, this.#layout, new Deadline(options))
  }

  async renewIncarnation(options?: CallOptions): Promise<string> {
    const deadline = new Deadline(options)
    await this.#keyring.align(deadline)
    await renewId(this.#requests, this.#layout, deadline)
    return (await identify(this.#requests, this.#layout, deadline)).incarnation
  }

  async read(names: readonly string[], options?: CallOptions): Promise<readonly (StoredSecret | null)[]> {
    checkNames(names)
    return await this.#secrets.read(names, new Deadline(options))
  }

  async scan(query: ScanQuery, options?: CallOptions): Promise<Page<SecretHeader>> {
    const bounded = { ...query, limit: pageLimit(query.limit) }
    lanesOfShard(query.shard)
    if (query.cursor !== null) lanesOf(query.cursor)
    return await this.#secrets.scan(bounded, new Deadline(options))
  }

  async write(guard: number, changes: readonly Change[], options?: CallOptions): Promise<readonly Outcome[]> {
    checkChanges(changes, MAX_SEALED_BYTES)
    const deadline = new Deadline(options)
    if (deadline.passed) throw deadline.refusal(null, false)
    const parts = inTransactions(changes)
    const first = guardNumberOf(changes)
    const answers: (readonly Outcome[] | undefined)[] = []
    const errors: unknown[] = []
    let next = 0
    const work = async (): Promise<void> => {
      for (let n = next++; n < parts.length && errors.length === 0; n = next++) {
        try {
          answers[n] = await this.#transactions.apply(guard, parts[n] ?? [], first + n, deadline)
        } catch (error) {
          errors.push(error)
        }
      }
    }
    await Promise.all(Array.from({ length: Math.min(this.#concurrency, parts.length) }, work))
    if (errors.length > 0) throw failureOfAll(errors, answers, parts.length)
    return answers.flatMap((outcomes = []) => outcomes)
  }

  async census(options?: CallOptions): Promise<ReadonlyMap<string, number>> {
    return await this.#secrets.census(new Deadline(options, LONG_TIMEOUT_MS))
  }

  readDocument(key: string, options?: CallOptions): Promise<StoredDocument | null> {
    return this.#documents.read(key, new Deadline(options))
  }

  async writeDocument(
    key: string,
    expectedRevision: number,
    value: string | null,
    options?: CallOptions,
  ): Promise<number | null> {
    checkDocument(key, expectedRevision, value)
    const deadline = key === KEYRING_DOCUMENT ? new Deadline(options, LONG_TIMEOUT_MS) : new Deadline(options)
    return await this.#documents.write(key, expectedRevision, value, deadline)
  }

  async listDocuments(
    query: { readonly prefix: string; readonly cursor: string | null; readonly limit: number },
    options?: CallOptions,
  ): Promise<Page<StoredDocument>> {
    const bounded = { ...query, limit: pageLimit(query.limit) }
    return await this.#documents.list(bounded, new Deadline(options))
  }

  async shards(atMost: number, options?: CallOptions): Promise<readonly string[]> {
    shardLimit(atMost)
    return await this.#secrets.shards(atMost, new Deadline(options))
  }
}

/** What becomes of a call of which some transactions failed. */
function failureOfAll(
  errors: readonly unknown[],
  answers: readonly (readonly Outcome[] | undefined)[],
  parts: number,
): unknown {
  const isUnknown = (error: unknown) =>
    error instanceof StoreError && error.code === 'ERR_STORE_OUTCOME_UNKNOWN'
  const [first] = errors
  const unknown = errors.find(isUnknown)
  if (unknown !== undefined && parts === 1) return unknown
  const wrote = answers.some((outcomes) => outcomes?.includes('done'))
  if (unknown === undefined && !wrote) return first
  return new StoreError(
    'ERR_STORE_OUTCOME_UNKNOWN',
    `${answers.filter((outcomes) => outcomes !== undefined).length} of ${parts} transactions were decided, the others may not be; repeat the call`,
    { retryable: true, cause: unknown ?? first },
  )
}

import { randomUUID } from 'node:crypto'
import {
  type CallOptions,
  type Change,
  checkChanges,
  checkDocument,
  checkNames,
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
  type StoreIdentity,
  shardLimit,
} from '@talos/envelope'
import type { RedisClient } from './client.ts'
import { Connection } from './connection.ts'
import { Deadline } from './deadline.ts'
import { listDocuments, readDocument, writeDocument } from './documents.ts'
import { partlyDecided } from './failures.ts'
import { durabilityGaps, type Findings, identityOf, MAX_SEALED_BYTES } from './identity.ts'
import { DEFAULT_PREFIX, keysOf } from './keys.ts'
import { ENTER } from './scripts/enter.ts'
import { applyChanges, bordersOf, countSecrets, readSecrets, scanSecrets } from './secrets.ts'

/** How long what a server said of its settings is believed. */
const SETTINGS_MS = 1_000

/** How a Redis store is set up. */
export interface RedisStoreOptions {
  /** A `Redis` or `Cluster` of ioredis. It stays the caller's, who closes it after the store is not used any more. */
  readonly client: RedisClient
  /**
   * The hash tag of the store's keys: 1 to 100 visible ASCII characters without braces. Another prefix is another store.
   *
   * @defaultValue talos
   */
  readonly prefix?: string
  /**
   * Uses a server that may throw secrets away when its memory is full: any `maxmemory-policy` but `noeviction`. The level is
   * then `advisory`, and no count of such a store proves that a KEK is not needed.
   *
   * @defaultValue false: such a server is refused
   */
  readonly insecureAcceptEviction?: boolean
}

/** A store in Redis, with what an operator does to it. */
export interface RedisStore extends SecretStore {
  /**
   * Says that writes may have been lost: to be called after the data was restored from a backup, which a server cannot know
   * about itself.
   *
   * @returns The new incarnation.
   */
  renewIncarnation(options?: CallOptions): Promise<string>
}

/**
 * Makes a store of Redis, 7.0 or later. Nothing is read or written before the first call.
 *
 * @throws TypeError for a prefix that Redis could not take as a hash tag.
 */
export function redisStore(options: RedisStoreOptions): RedisStore {
  return new Store(options)
}

class Store implements RedisStore {
  readonly #connection: Connection
  readonly #acceptEviction: boolean
  #settingsUntil = 0

  constructor(options: RedisStoreOptions) {
    this.#connection = new Connection(options.client, keysOf(options.prefix ?? DEFAULT_PREFIX))
    this.#acceptEviction = options.insecureAcceptEviction ?? false
  }

  async identify(options?: CallOptions): Promise<StoreIdentity> {
    const deadline = begun(options)
    const { client } = this.#connection
    const gaps = client.isCluster ? null : await durabilityGaps(this.#connection, deadline)
    const durable = gaps?.length === 0 ? '1' : '0'
    return identityOf(await this.#enter(deadline, { look: true, durable }), gaps, client)
  }

  async renewIncarnation(options?: CallOptions): Promise<string> {
    return (await this.#enter(begun(options), { renew: true })).incarnation
  }

  async read(names: readonly string[], options?: CallOptions): Promise<readonly (StoredSecret | null)[]> {
    checkNames(names)
    return readSecrets(this.#connection, names, await this.#ready(options))
  }

  async scan(query: ScanQuery, options?: CallOptions): Promise<Page<SecretHeader>> {
    const bounded = { ...query, limit: pageLimit(query.limit), range: nameRangeOf(query.shard) }
    return scanSecrets(this.#connection, bounded, await this.#ready(options))
  }

  async write(guard: number, changes: readonly Change[], options?: CallOptions): Promise<readonly Outcome[]> {
    checkChanges(changes, MAX_SEALED_BYTES)
    const deadline = begun(options)
    const outcomes: Outcome[] = []
    let came = 0
    while (outcomes.length < changes.length) {
      try {
        // Also where the keys have gone in between.
        if (came === 0) await this.#enter(deadline)
        const rest = outcomes.length === 0 ? changes : changes.slice(outcomes.length)
        const decided = await applyChanges(this.#connection, guard, rest, deadline)
        outcomes.push(...decided)
        came = decided.length
      } catch (error) {
        if (!outcomes.includes('done')) throw error
        throw partlyDecided(outcomes.length, changes.length, error)
      }
    }
    return outcomes
  }

  async census(options?: CallOptions): Promise<ReadonlyMap<string, number>> {
    const deadline = begun(options)
    await this.#enter(deadline, { look: true })
    return countSecrets(this.#connection, deadline)
  }

  async readDocument(key: string, options?: CallOptions): Promise<StoredDocument | null> {
    return readDocument(this.#connection, key, await this.#ready(options))
  }

  async writeDocument(
    key: string,
    expectedRevision: number,
    value: string | null,
    options?: CallOptions,
  ): Promise<number | null> {
    checkDocument(key, expectedRevision, value)
    const deadline = begun(options)
    await this.#enter(deadline)
    return writeDocument(this.#connection, key, expectedRevision, value, deadline)
  }

  async listDocuments(
    query: { readonly prefix: string; readonly cursor: string | null; readonly limit: number },
    options?: CallOptions,
  ): Promise<Page<StoredDocument>> {
    const bounded = { ...query, limit: pageLimit(query.limit) }
    return listDocuments(this.#connection, bounded, await this.#ready(options))
  }

  async shards(atMost: number, options?: CallOptions): Promise<readonly string[]> {
    shardLimit(atMost)
    return nameShards(await bordersOf(this.#connection, atMost, await this.#ready(options)))
  }

  /** Enters once, before the first read. */
  async #ready(options: CallOptions | undefined): Promise<Deadline> {
    const deadline = begun(options)
    if (this.#settingsUntil === 0) await this.#enter(deadline)
    return deadline
  }

  async #enter(
    deadline: Deadline,
    wish: { readonly look?: boolean; readonly durable?: '0' | '1'; readonly renew?: boolean } = {},
  ): Promise<Findings> {
    const asked = performance.now()
    const look = wish.look === true || asked >= this.#settingsUntil
    const args = [
      randomUUID(),
      look ? '1' : '',
      this.#acceptEviction ? '1' : '',
      wish.durable ?? '',
      wish.renew ? '1' : '',
    ]
    const answer = (await this.#connection.ask(ENTER, args, deadline)) ?? []
    const [incarnation = '', replicated, policy = '', cluster, appending] = answer.map(String)
    if (look) this.#settingsUntil = asked + SETTINGS_MS
    return {
      incarnation,
      replicated: replicated === '1',
      policy,
      cluster: cluster === '1',
      appending: appending === '1',
    }
  }
}

/** @throws StoreError for a call that was aborted before it began. */
function begun(options: CallOptions | undefined): Deadline {
  const deadline = new Deadline(options)
  if (deadline.passed) throw deadline.refusal()
  return deadline
}

import { StoreError } from '../errors.ts'
import { checkChanges, checkDocument, checkNames, pageLimit, shardLimit } from './limits.ts'
import { nameRangeOf, nameShards, shardCount } from './name-ranges.ts'
import {
  type CallOptions,
  type Change,
  KEYRING_DOCUMENT,
  type Outcome,
  type Page,
  type ScanQuery,
  type SecretHeader,
  type SecretStore,
  type StoredDocument,
  type StoredSecret,
  type StoreIdentity,
} from './secret-store.ts'

const DEFAULT_TIMEOUT_MS = 10_000
const MOST_TURNS = 4
const RECORDS_PER_SHARD = 2_000

/** Makes a memory store as unkind as a network: calls take a random time and overtake each other. */
export interface Disorder {
  /** Numbers from 0 up to 1, not 1. Give a seeded source and a run can be repeated. */
  readonly random: () => number
}

/** Options of {@link MemoryStore}. */
export interface MemoryStoreOptions {
  /**
   * Delays every call by a random number of turns before and after its atomic step, so that whoever awaits between a
   * check and a write is caught.
   *
   * @defaultValue absent: a call takes effect the moment it is made
   */
  readonly disorder?: Disorder
  /** Milliseconds of a clock that never runs backwards; `ageMs` rests on it. @defaultValue performance.now */
  readonly monotonicMs?: () => number
  /** Lets everybody else run for one turn of the event loop. @defaultValue setImmediate */
  readonly turn?: () => Promise<void>
  /** Sealed bytes longer than this are refused. @defaultValue 1 MiB + 28 */
  readonly maxSealedBytes?: number
  /** A test that plays a failover gives one of its own. @defaultValue a random UUID: a new store is new data */
  readonly incarnation?: string
  /**
   * `advisory`, since everything is gone with the process. A test in which the process does not die may say `strong`.
   *
   * @defaultValue advisory
   */
  readonly level?: 'strong' | 'advisory'
  /** How many records a shard has at least when the records are divided. A test that divides few gives 1. @defaultValue 2_000 */
  readonly recordsPerShard?: number
}

interface MemoryDocument {
  readonly value: string
  readonly revision: number
  readonly writtenAt: number
}

/**
 * Keeps secrets in the memory of this process, for tests, demonstrations and as the contract's shortest reading. Every
 * call's effect is one synchronous step, which is all that atomicity needs in one thread.
 */
export class MemoryStore implements SecretStore {
  readonly #secrets = new Map<string, StoredSecret>()
  readonly #documents = new Map<string, MemoryDocument>()
  readonly #disorder: Disorder | undefined
  readonly #monotonicMs: () => number
  readonly #turn: () => Promise<void>
  readonly #identity: StoreIdentity
  readonly #recordsPerShard: number
  /** Names in the order of the scan. May name records that are gone, and lacks those in `#newNames`. */
  #names: string[] = []
  #newNames: string[] = []

  constructor(options: MemoryStoreOptions = {}) {
    const level = options.level ?? 'advisory'
    this.#disorder = options.disorder
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now())
    this.#turn = options.turn ?? nextTurn
    this.#recordsPerShard = options.recordsPerShard ?? RECORDS_PER_SHARD
    this.#identity = {
      kind: 'memory',
      incarnation: options.incarnation ?? globalThis.crypto.randomUUID(),
      level,
      reasons: level === 'strong' ? [] : ['everything is lost when the process ends'],
      maxSealedBytes: options.maxSealedBytes ?? 1_048_576 + 28,
    }
  }

  /** {@inheritDoc SecretStore.identify} */
  identify(options?: CallOptions): Promise<StoreIdentity> {
    return this.#call('read', options, () => this.#identity)
  }

  /** {@inheritDoc SecretStore.read} */
  async read(names: readonly string[], options?: CallOptions): Promise<readonly (StoredSecret | null)[]> {
    checkNames(names)
    return this.#call('read', options, () =>
      names.map((name) => {
        const secret = this.#secrets.get(name)
        return secret === undefined ? null : copyOf(secret)
      }),
    )
  }

  /** {@inheritDoc SecretStore.scan} */
  async scan(query: ScanQuery, options?: CallOptions): Promise<Page<SecretHeader>> {
    const limit = pageLimit(query.limit)
    const { after, upTo } = nameRangeOf(query.shard)
    // A loop over pages would otherwise run in microtasks alone and let nobody else have a turn.
    await this.#turn()
    return this.#call('read', options, () => {
      const except = query.exceptKekId === undefined ? null : `talos:v2:${query.exceptKekId}:`
      const names = this.#sortedNames()
      const items: SecretHeader[] = []
      const end = upTo === null ? names.length : firstAfter(names, upTo)
      for (let at = firstAfter(names, query.cursor ?? after); at < end; at += 1) {
        const secret = this.#secrets.get(names[at] as string)
        if (secret === undefined || (except !== null && secret.wrap.startsWith(except))) continue
        items.push({ name: secret.name, wrap: secret.wrap, meta: secret.meta })
        if (items.length === limit) return { items, next: secret.name }
      }
      return { items, next: null }
    })
  }

  /** {@inheritDoc SecretStore.write} */
  async write(guard: number, changes: readonly Change[], options?: CallOptions): Promise<readonly Outcome[]> {
    checkChanges(changes, this.#identity.maxSealedBytes)
    // The caller's arrays may change while the call waits.
    const own = changes.map((change) => ('secret' in change ? ownChange(change) : change))
    return this.#call('write', options, () => {
      const open = this.#documents.get(KEYRING_DOCUMENT)?.revision === guard
      return own.map((change) => this.#apply(open, change))
    })
  }

  /** {@inheritDoc SecretStore.census} */
  census(options?: CallOptions): Promise<ReadonlyMap<string, number>> {
    return this.#call('read', options, () => {
      const counts = new Map<string, number>()
      for (const { wrap } of this.#secrets.values()) {
        const kekId = wrap.split(':', 3)[2] ?? ''
        counts.set(kekId, (counts.get(kekId) ?? 0) + 1)
      }
      return counts
    })
  }

  /** {@inheritDoc SecretStore.readDocument} */
  readDocument(key: string, options?: CallOptions): Promise<StoredDocument | null> {
    return this.#call('read', options, () => this.#documentAt(key))
  }

  /** {@inheritDoc SecretStore.writeDocument} */
  async writeDocument(
    key: string,
    expectedRevision: number,
    value: string | null,
    options?: CallOptions,
  ): Promise<number | null> {
    checkDocument(key, expectedRevision, value)
    return this.#call('write', options, () => {
      const document = this.#documents.get(key)
      const revision = document?.revision ?? 0
      if (value === null) {
        if (revision !== 0 && revision !== expectedRevision) return null
        this.#documents.delete(key)
        return 0
      }
      if (revision === expectedRevision + 1 && document?.value === value) return revision
      if (revision !== expectedRevision) return null
      this.#documents.set(key, { value, revision: revision + 1, writtenAt: this.#monotonicMs() })
      return revision + 1
    })
  }

  /** {@inheritDoc SecretStore.listDocuments} */
  async listDocuments(
    query: { readonly prefix: string; readonly cursor: string | null; readonly limit: number },
    options?: CallOptions,
  ): Promise<Page<StoredDocument>> {
    const limit = pageLimit(query.limit)
    return this.#call('read', options, () => {
      const { prefix, cursor } = query
      const keys = [...this.#documents.keys()].filter(
        (key) => key.startsWith(prefix) && (cursor === null || key > cursor),
      )
      const items = keys
        .sort()
        .slice(0, limit)
        .map((key) => this.#documentAt(key) as StoredDocument)
      return { items, next: keys.length > limit ? (items.at(-1)?.key ?? null) : null }
    })
  }

  /** {@inheritDoc SecretStore.shards} */
  async shards(atMost: number, options?: CallOptions): Promise<readonly string[]> {
    shardLimit(atMost)
    return this.#call('read', options, () => {
      const names = this.#sortedNames().filter((name) => this.#secrets.has(name))
      const count = shardCount(names.length, this.#recordsPerShard, atMost)
      const last = (part: number) => names[Math.floor((part * names.length) / count) - 1] as string
      return nameShards(Array.from({ length: count - 1 }, (_, index) => last(index + 1)))
    })
  }

  #apply(open: boolean, change: Change): Outcome {
    const name = change.kind === 'delete' ? change.name : change.secret.name
    const there = this.#secrets.get(name)
    if (change.kind === 'delete') {
      if (there === undefined) return 'missing'
      if (there.wrap !== change.expectedWrap) return 'changed'
      this.#secrets.delete(name)
      return 'done'
    }
    // Before the guard: an earlier attempt that took effect before the fence must not look as if it never did.
    if (there?.wrap === change.secret.wrap) return 'already'
    if (!open) return 'fenced'
    if (change.kind === 'create') {
      if (there !== undefined) return 'changed'
      this.#newNames.push(name)
      this.#secrets.set(name, change.secret)
      // Without a scan nobody else would ever clear the names of what came and went.
      if (this.#newNames.length > 1_000 + this.#secrets.size) this.#sortedNames()
      return 'done'
    }
    if (there === undefined) return 'missing'
    if (there.wrap !== change.expectedWrap) return 'changed'
    const { wrap, meta } = change.secret
    this.#secrets.set(
      name,
      change.kind === 'replace' ? change.secret : { name, wrap, meta, sealed: there.sealed },
    )
    return 'done'
  }

  #documentAt(key: string): StoredDocument | null {
    const document = this.#documents.get(key)
    if (document === undefined) return null
    const { value, revision, writtenAt } = document
    return { key, value, revision, ageMs: Math.max(0, this.#monotonicMs() - writtenAt) }
  }

  #sortedNames(): readonly string[] {
    if (this.#newNames.length > 0) {
      const names = new Set([...this.#names, ...this.#newNames])
      this.#names = [...names].filter((name) => this.#secrets.has(name)).sort()
      this.#newNames = []
    }
    return this.#names
  }

  /** Runs the atomic step of a call, between two waits under disorder. */
  async #call<T>(effect: 'read' | 'write', options: CallOptions = {}, step: () => T): Promise<T> {
    const until = this.#monotonicMs() + (options.timeoutMs ?? DEFAULT_TIMEOUT_MS)
    const check = (written: boolean): void => {
      const late = this.#monotonicMs() > until
      if (!late && options.signal?.aborted !== true) return
      const why = late ? 'ran out of time' : 'was aborted'
      const details = { retryable: true, cause: options.signal?.reason }
      if (!written)
        throw new StoreError('ERR_STORE_UNAVAILABLE', `the call ${why}; nothing was written`, details)
      throw new StoreError('ERR_STORE_OUTCOME_UNKNOWN', `the call ${why} after its write was sent`, details)
    }
    check(false)
    await this.#delay(() => check(false))
    const answer = step()
    await this.#delay(() => check(effect === 'write'))
    return answer
  }

  async #delay(check: () => void): Promise<void> {
    if (this.#disorder === undefined) return
    const { random } = this.#disorder
    for (let turns = Math.floor(random() * (MOST_TURNS + 1)); turns > 0; turns -= 1) {
      await (random() < 0.5 ? Promise.resolve() : this.#turn())
      check()
    }
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

function copyOf(secret: StoredSecret): StoredSecret {
  const { name, wrap, meta } = secret
  // Not slice(): a Buffer's shares its memory.
  return { name, wrap, meta, sealed: new Uint8Array(secret.sealed) }
}

function ownChange(change: Exclude<Change, { kind: 'delete' }>): Change {
  if (change.kind === 'rewrap') return change
  return { ...change, secret: copyOf(change.secret) }
}

/** The position of the first name behind `name`, by the order of `sort()`. */
function firstAfter(names: readonly string[], name: string): number {
  let low = 0
  let high = names.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((names[middle] as string) <= name) low = middle + 1
    else high = middle
  }
  return low
}

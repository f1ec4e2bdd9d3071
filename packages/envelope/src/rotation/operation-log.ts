import { isEnvelopeError, StoreError } from '../errors.ts'
import type { CallOptions, Page, SecretStore, StoredDocument } from '../store/secret-store.ts'
import type { RotationFailure, RotationOperation } from './operation.ts'
import {
  isActive,
  type LoggedShard,
  type OperationRecord,
  operationOf,
  type ShardRecord,
  totalsOf,
} from './operation-record.ts'

/** An operation with the revision that the next save must find. */
export interface LoggedOperation {
  readonly record: OperationRecord
  readonly revision: number
}

/**
 * The newest operation lives in one document, so that "is one active" and "begin one" are a single conditional write.
 * Before the next one takes its place it is copied to a key of its own.
 */
const NEWEST = 'rotation'
const SHARD = 'rotation-shard/'
const OPERATION_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const PAGE = 100
/** Former operations that are kept, with what they failed on. */
const KEPT = 100

/** The operations of a keyring domain, as documents in its store. */
export class OperationLog {
  readonly #store: SecretStore

  constructor(store: SecretStore) {
    this.#store = store
  }

  /** Reads the newest operation. */
  async newest(options: CallOptions): Promise<LoggedOperation | null> {
    const stored = await this.#store.readDocument(NEWEST, options)
    return stored === null
      ? null
      : { record: parse<OperationRecord>(stored, isOperationRecord), revision: stored.revision }
  }

  /** Reads one operation by its id, with its progress. */
  async find(operationId: string, options: CallOptions): Promise<RotationOperation | null> {
    const record = await this.#record(operationId, options)
    return record === null ? null : await this.#look(record, options)
  }

  /** Lists operations, the newest first. */
  async list(limit: number, options: CallOptions): Promise<readonly RotationOperation[]> {
    const newest = await this.newest(options)
    if (newest === null) return []
    const former: OperationRecord[] = []
    for await (const stored of this.#below(`${NEWEST}/`, options)) {
      former.push(parse<OperationRecord>(stored, isOperationRecord))
    }
    // Ids are ordered by time. A crash may have left a copy of the newest one.
    const others = former.filter(({ id }) => id !== newest.record.id).sort((a, b) => (a.id < b.id ? 1 : -1))
    const first = await this.#look(newest.record, options)
    return [first, ...others.slice(0, limit - 1).map((record) => operationOf(record, []))]
  }

  /**
   * Begins an operation unless one is active.
   *
   * @returns The active operation: the given one, or the one that was there first.
   */
  async begin(record: OperationRecord, options: CallOptions): Promise<OperationRecord> {
    for (;;) {
      const newest = await this.newest(options)
      if (newest !== null) {
        if (isActive(newest.record)) return newest.record
        await this.#archive(newest.record, options)
      }
      const written = await this.save(record, newest?.revision ?? 0, options)
      if (written !== null) {
        if (newest !== null) await this.#sweep(options)
        return record
      }
    }
  }

  /**
   * Saves the newest operation.
   *
   * @returns The new revision; `null` when somebody else saved since.
   */
  async save(record: OperationRecord, revision: number, options: CallOptions): Promise<number | null> {
    return await this.#store.writeDocument(NEWEST, revision, JSON.stringify(record), options)
  }

  /** Reads the progress of the shards that somebody has begun, in no order. */
  async shards(record: OperationRecord, options: CallOptions): Promise<readonly LoggedShard[]> {
    if (record.shards === null) return []
    const prefix = shardPrefix(record)
    const shards: LoggedShard[] = []
    for await (const stored of this.#below(prefix, options)) {
      shards.push(shardOf(stored, Number(stored.key.slice(prefix.length))))
    }
    return shards
  }

  /** Reads the progress of one shard; `null` when nobody has begun it. */
  async shard(record: OperationRecord, index: number, options: CallOptions): Promise<LoggedShard | null> {
    const stored = await this.#store.readDocument(`${shardPrefix(record)}${index}`, options)
    return stored === null ? null : shardOf(stored, index)
  }

  /**
   * Saves the progress of a shard.
   *
   * @returns The new revision; `null` when somebody else saved since.
   */
  async saveShard(
    operation: OperationRecord,
    { index, record, revision }: Pick<LoggedShard, 'index' | 'record' | 'revision'>,
    options: CallOptions,
  ): Promise<number | null> {
    const key = `${shardPrefix(operation)}${index}`
    return await this.#store.writeDocument(key, revision, JSON.stringify(record), options)
  }

  /** Forgets the progress of an operation whose totals have been saved with it. */
  async forgetShards(record: OperationRecord, options: CallOptions): Promise<void> {
    for (const { index, revision } of await this.shards(record, options)) {
      await this.#store.writeDocument(`${shardPrefix(record)}${index}`, revision, null, options)
    }
  }

  /**
   * Notes a record that could not be re-wrapped, under its number in the pass of its shard: a worker that goes on from saved
   * progress writes the same numbers again.
   */
  async noteFailure(
    { id, pass }: OperationRecord,
    shard: number,
    number: number,
    failure: RotationFailure,
    options: CallOptions,
  ): Promise<void> {
    const key = `${failurePrefix(id)}${pass}/${shard}/${number}`
    const value = JSON.stringify(failure)
    const stored = await this.#store.readDocument(key, options)
    if (stored?.value !== value) await this.#store.writeDocument(key, stored?.revision ?? 0, value, options)
  }

  /** Lists what the last pass of an operation could not re-wrap. */
  async *failures(operationId: string, options: CallOptions): AsyncGenerator<RotationFailure> {
    const record = await this.#record(operationId, options)
    if (record === null) return
    for await (const { value } of this.#below(`${failurePrefix(record.id)}${record.pass}/`, options)) {
      yield JSON.parse(value) as RotationFailure
    }
  }

  async #record(operationId: string, options: CallOptions): Promise<OperationRecord | null> {
    if (!OPERATION_ID.test(operationId)) return null
    const newest = await this.newest(options)
    if (newest?.record.id === operationId) return newest.record
    const archived = await this.#store.readDocument(`${NEWEST}/${operationId}`, options)
    return archived === null ? null : parse<OperationRecord>(archived, isOperationRecord)
  }

  /** Puts an operation together with its shards; reads it again where they may have been forgotten in between. */
  async #look(record: OperationRecord, options: CallOptions): Promise<RotationOperation> {
    for (let known = record; ; ) {
      const shards = await this.shards(known, options)
      if (shards.length >= (known.shards?.length ?? 0)) return operationOf(known, shards)
      const again = await this.#record(known.id, options)
      if (again === null || (again.shards !== null && again.round === known.round))
        return operationOf(known, shards)
      known = again
    }
  }

  async #archive(record: OperationRecord, options: CallOptions): Promise<void> {
    const totals = totalsOf(record, await this.shards(record, options))
    const former = JSON.stringify({ ...record, totals, shards: null })
    const key = `${NEWEST}/${record.id}`
    const copied = await this.#store.readDocument(key, options)
    // Copied before by somebody who did not get to begin another one: it may have been retried since.
    if (copied !== null && parse<OperationRecord>(copied, isOperationRecord).pass >= record.pass) return
    await this.#store.writeDocument(key, copied?.revision ?? 0, former, options)
  }

  /**
   * Removes the shards that former operations have left, and the oldest operations beyond those that are kept. What an outage
   * keeps from being removed is removed when the next one begins.
   */
  async #sweep(options: CallOptions): Promise<void> {
    try {
      const former: string[] = []
      for await (const { key } of this.#below(`${NEWEST}/`, options))
        former.push(key.slice(NEWEST.length + 1))
      const over = new Set(former)
      // Copied in vain, and retried since.
      over.delete((await this.newest(options))?.record.id ?? '')
      for await (const { key, revision } of this.#below(SHARD, options)) {
        if (over.has(key.slice(SHARD.length).split('/')[0] ?? ''))
          await this.#store.writeDocument(key, revision, null, options)
      }
      for (const id of former.sort().slice(0, Math.max(0, former.length - KEPT))) {
        await this.#remove(failurePrefix(id), options)
        await this.#remove(`${NEWEST}/${id}`, options)
      }
    } catch (error) {
      if (!isEnvelopeError(error)) throw error
    }
  }

  async #remove(prefix: string, options: CallOptions): Promise<void> {
    for await (const { key, revision } of this.#below(prefix, options)) {
      await this.#store.writeDocument(key, revision, null, options)
    }
  }

  async *#below(prefix: string, options: CallOptions): AsyncGenerator<StoredDocument> {
    let cursor: string | null = null
    do {
      const page: Page<StoredDocument> = await this.#store.listDocuments(
        { prefix, cursor, limit: PAGE },
        options,
      )
      yield* page.items
      cursor = page.next
    } while (cursor !== null)
  }
}

function shardPrefix({ id, round }: OperationRecord): string {
  return `${SHARD}${id}/${round}/`
}

function failurePrefix(operationId: string): string {
  return `rotation-failure/${operationId}/`
}

function shardOf(stored: StoredDocument, index: number): LoggedShard {
  const { revision, ageMs } = stored
  return { index, record: parse<ShardRecord>(stored, isShardRecord), revision, ageMs }
}

function isOperationRecord(value: object): boolean {
  return 'id' in value && 'status' in value && 'totals' in value && 'round' in value
}

function isShardRecord(value: object): boolean {
  return 'pass' in value && 'totals' in value && 'worker' in value
}

function parse<T extends object>({ key, value }: StoredDocument, isOne: (value: object) => boolean): T {
  try {
    const parsed: unknown = JSON.parse(value)
    if (typeof parsed === 'object' && parsed !== null && isOne(parsed)) return parsed as T
  } catch {
    // Falls through: the parser's message would quote the text.
  }
  throw new StoreError(
    'ERR_STORE_CONTRACT',
    `The document "${key}" is no rotation operation. Delete it and start the rotation again; no secret is lost.`,
  )
}

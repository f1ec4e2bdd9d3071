import { StoreError } from '../errors.ts'
import type { CallOptions, Page, SecretStore, StoredDocument } from '../store/secret-store.ts'
import { isActive, type RotationFailure, type RotationOperation } from './operation.ts'

/** An operation with the revision that the next save must find. */
export interface LoggedOperation {
  readonly operation: RotationOperation
  readonly revision: number
  /** Milliseconds since the last save by the store's clock; `null` where it has none. */
  readonly ageMs: number | null
}

/**
 * The newest operation lives in one document, so that "is one active" and "begin one" are a single conditional write.
 * Before the next one takes its place it is copied to a key of its own.
 */
const NEWEST = 'rotation'
const OPERATION_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const PAGE = 100

/** The operations of a keyring domain, as documents in its store. */
export class OperationLog {
  readonly #store: SecretStore

  constructor(store: SecretStore) {
    this.#store = store
  }

  /** Reads the newest operation. */
  async newest(options: CallOptions): Promise<LoggedOperation | null> {
    const stored = await this.#store.readDocument(NEWEST, options)
    return stored === null ? null : { ...parse(stored), ageMs: stored.ageMs }
  }

  /** Reads one operation by its id. */
  async find(operationId: string, options: CallOptions): Promise<RotationOperation | null> {
    if (!OPERATION_ID.test(operationId)) return null
    const newest = await this.newest(options)
    if (newest?.operation.id === operationId) return newest.operation
    const archived = await this.#store.readDocument(`${NEWEST}/${operationId}`, options)
    return archived === null ? null : parse(archived).operation
  }

  /**
   * Begins an operation unless one is active.
   *
   * @returns The active operation: the given one, or the one that was there first.
   */
  async begin(operation: RotationOperation, options: CallOptions): Promise<RotationOperation> {
    for (;;) {
      const newest = await this.newest(options)
      if (newest !== null) {
        if (isActive(newest.operation)) return newest.operation
        const former = newest.operation
        await this.#store.writeDocument(`${NEWEST}/${former.id}`, 0, JSON.stringify(former), options)
      }
      const written = await this.save(operation, newest?.revision ?? 0, options)
      if (written !== null) return operation
    }
  }

  /**
   * Saves the newest operation.
   *
   * @returns The new revision; `null` when somebody else saved since.
   */
  async save(operation: RotationOperation, revision: number, options: CallOptions): Promise<number | null> {
    return await this.#store.writeDocument(NEWEST, revision, JSON.stringify(operation), options)
  }

  /**
   * Notes a record that could not be re-wrapped, under its number in the pass: a worker that goes on from saved progress
   * writes the same numbers again.
   */
  async noteFailure(
    operation: RotationOperation,
    number: number,
    failure: RotationFailure,
    options: CallOptions,
  ): Promise<void> {
    const key = `${failurePrefix(operation)}${number}`
    const value = JSON.stringify(failure)
    const stored = await this.#store.readDocument(key, options)
    if (stored?.value !== value) await this.#store.writeDocument(key, stored?.revision ?? 0, value, options)
  }

  /** Lists what the last pass of an operation could not re-wrap. */
  async *failures(operationId: string, options: CallOptions): AsyncGenerator<RotationFailure> {
    const operation = await this.find(operationId, options)
    if (operation === null) return
    const prefix = failurePrefix(operation)
    let cursor: string | null = null
    do {
      const page: Page<StoredDocument> = await this.#store.listDocuments(
        { prefix, cursor, limit: PAGE },
        options,
      )
      for (const { value } of page.items) yield JSON.parse(value) as RotationFailure
      cursor = page.next
    } while (cursor !== null)
  }
}

function failurePrefix({ id, pass }: RotationOperation): string {
  return `rotation-failure/${id}/${pass}/`
}

function parse(stored: StoredDocument): { operation: RotationOperation; revision: number } {
  try {
    return { operation: JSON.parse(stored.value) as RotationOperation, revision: stored.revision }
  } catch {
    throw new StoreError(
      'ERR_STORE_CONTRACT',
      `The document "${stored.key}" is no rotation operation. Delete it and start the rotation again; no secret is lost.`,
    )
  }
}

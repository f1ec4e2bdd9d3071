import { mapBounded } from '../codec/map-bounded.ts'
import { PROVIDER_LANES } from '../codec/rewrap-remote.ts'
import { unwrapValue } from '../codec/unwrap.ts'
import { wrapValue } from '../codec/wrap.ts'
import { type DecryptError, FormatError, isEnvelopeError, LifecycleError, StoreError } from '../errors.ts'
import type { EncodedContext } from '../format/context.ts'
import { kekIdOfWrap, SEALED_OVERHEAD_BYTES } from '../format/envelope-v2.ts'
import type { KeyringState } from '../lifecycle/keyring-state.ts'
import { type Runtime, timestamp } from '../runtime.ts'
import { checkNames, STORE_LIMITS } from '../store/limits.ts'
import { parseMeta, type RecordMeta, serialiseMeta } from '../store/record-meta.ts'
import type { Change, Outcome, Page, SecretHeader, SecretStore, StoredSecret } from '../store/secret-store.ts'
import { checkCallerContext, checkTime, checkVersion, recordContext, valueBytes } from './arguments.ts'
import { Deadline } from './deadline.ts'
import type { KeyAccess } from './key-access.ts'
import { Secret } from './secret.ts'
import type {
  CallerContext,
  DeleteOptions,
  DeleteResult,
  GetOptions,
  ListPageOptions,
  PutOptions,
  PutResult,
  ReencryptResult,
  SecretEntry,
} from './secret-vault.ts'

export interface RecordsOptions {
  readonly store: SecretStore
  readonly state: KeyringState
  readonly keys: KeyAccess
  readonly runtime: Runtime
  readonly namespace: string
  readonly maxValueBytes: number
}

/** The secrets of a vault: values in and out, each write guarded and compare-and-swap. */
export class Records {
  readonly #with: RecordsOptions
  #maxSealedBytes: number | null = null

  constructor(options: RecordsOptions) {
    this.#with = options
  }

  async put(name: string, value: string | Uint8Array, options: PutOptions): Promise<PutResult> {
    const { store, state, runtime, namespace } = this.#with
    checkNames([name])
    checkVersion(options.expectedVersion, true)
    const callerContext = checkCallerContext(options.context)
    const context = recordContext(namespace, name, callerContext)
    const bytes = valueBytes(value, this.#with.maxValueBytes)
    const deadline = new Deadline(runtime, options)
    await this.#checkFits(bytes, deadline)
    for (;;) {
      const { kek, snapshot } = this.#with.keys.current()
      const [existing = null] = await store.read([name], deadline.next())
      const known = existing === null ? null : metaOf(existing)
      const version = known?.version ?? null
      if (options.expectedVersion !== undefined && options.expectedVersion !== version) {
        return { outcome: 'conflict', version }
      }
      if (known !== null) checkSameContext(known.context, callerContext)
      const meta = nextMeta(known, callerContext, timestamp(runtime))
      const wrapped = await wrapValue(kek, bytes, context, deadline.next())
      const secret = { name, ...wrapped, meta: serialiseMeta(meta) }
      checkMetaFits(secret.meta)
      const change: Change =
        existing === null
          ? { kind: 'create', secret }
          : { kind: 'replace', expectedWrap: existing.wrap, secret }
      const outcome = await this.#write(snapshot.revision, change, deadline)
      if (outcome === 'done' || outcome === 'already') {
        return { outcome: existing === null ? 'created' : 'replaced', version: meta.version }
      }
      if (outcome === 'fenced') await this.#follow(state, snapshot.revision, deadline)
    }
  }

  async get(name: string, options: GetOptions): Promise<Secret | null> {
    const [secret = null] = await this.getMany([name], options)
    return secret
  }

  async getMany(names: readonly string[], options: GetOptions): Promise<readonly (Secret | null)[]> {
    if (!Array.isArray(names)) throw new TypeError('Give an array of names.')
    checkNames(names)
    const callerContext = checkCallerContext(options.context)
    // Before the read: whether a context is legal must not depend on what is stored.
    const contexts = names.map((name) => recordContext(this.#with.namespace, name, callerContext))
    const deadline = new Deadline(this.#with.runtime, options)
    const found = await this.#with.store.read(names, deadline.next())
    return await mapBounded(contexts, PROVIDER_LANES, async (context, index) => {
      const stored = found[index] ?? null
      return stored === null ? null : await this.#open(stored, context, deadline)
    })
  }

  /** Writes the value of a secret under a new DEK, at the version it was read with. */
  async reencrypt(name: string, options: GetOptions): Promise<ReencryptResult> {
    const deadline = new Deadline(this.#with.runtime, options)
    const { context } = options
    for (;;) {
      const pairs = context === undefined ? {} : { context }
      const secret = await this.get(name, { ...deadline.next(), ...pairs })
      if (secret === null) return { outcome: 'missing' }
      try {
        const put = { ...deadline.next(), ...pairs, expectedVersion: secret.version }
        const { outcome, version } = await this.put(name, secret.bytes(), put)
        if (outcome !== 'conflict') return { outcome: 'reencrypted', version }
      } finally {
        secret[Symbol.dispose]()
      }
    }
  }

  async delete(name: string, options: DeleteOptions): Promise<DeleteResult> {
    const { store, state, runtime } = this.#with
    checkNames([name])
    checkVersion(options.expectedVersion, false)
    const deadline = new Deadline(runtime, options)
    for (;;) {
      const [existing = null] = await store.read([name], deadline.next())
      if (existing === null) return { outcome: 'missing' }
      if (options.expectedVersion !== undefined) {
        const { version } = metaOf(existing)
        if (options.expectedVersion !== version) return { outcome: 'conflict', version }
      }
      const change = { kind: 'delete', expectedWrap: existing.wrap, name } as const
      const outcome = await this.#write(state.snapshot?.revision ?? 0, change, deadline)
      if (outcome === 'done') return { outcome: 'deleted' }
    }
  }

  async listPage(options: ListPageOptions): Promise<Page<SecretEntry>> {
    const { cursor = null, limit = 100, prefix = '', changedSince } = options
    if (!Number.isSafeInteger(limit) || limit < 1 || limit > STORE_LIMITS.pageItems) {
      throw new TypeError(`limit is a whole number from 1 to ${STORE_LIMITS.pageItems}.`)
    }
    if (typeof prefix !== 'string') throw new TypeError('prefix is text.')
    const since = checkTime('changedSince', changedSince)
    const deadline = new Deadline(this.#with.runtime, options)
    const page = await this.#with.store.scan({ cursor, limit }, deadline.next())
    const named = page.items.filter(({ name }) => name.startsWith(prefix)).map(entryOf)
    // A record that does not say when it was changed may have been.
    const items = named.filter(({ updatedAt }) => since === null || updatedAt === null || updatedAt >= since)
    return { items, next: page.next }
  }

  async #open(stored: StoredSecret, context: EncodedContext, deadline: Deadline): Promise<Secret> {
    const { keys, state } = this.#with
    const open = async (): Promise<Secret> => {
      const value = await unwrapValue(keys.resolve, stored.wrap, stored.sealed, context, deadline.next())
      return new Secret(stored.name, metaOf(stored).version, kekIdOfWrap(stored.wrap) ?? '', value)
    }
    try {
      return await open()
    } catch (error) {
      if (!isEnvelopeError(error) || error.code !== 'ERR_DECRYPT_FAILED') throw error
      const failed = error as DecryptError
      if (failed.reason !== 'kek_unknown' && failed.reason !== 'kek_not_allowed') throw keys.explain(failed)
      // The document may have come to say something else of this KEK since it was last read.
      await state.refresh(deadline.next())
    }
    try {
      return await open()
    } catch (error) {
      throw isEnvelopeError(error) && error.code === 'ERR_DECRYPT_FAILED'
        ? keys.explain(error as DecryptError)
        : error
    }
  }

  /**
   * Writes one change. A write of unknown outcome is repeated: `already` then tells that it took effect.
   *
   * @throws StoreError `ERR_STORE_OUTCOME_UNKNOWN` when a repetition finds something else: the first attempt may have taken
   * effect and been replaced since, and writing the value once more would undo that replacement.
   */
  async #write(guard: number, change: Change, deadline: Deadline): Promise<Outcome> {
    const { store } = this.#with
    let doubt: StoreError | null = null
    for (;;) {
      try {
        const [outcome = 'missing'] = await store.write(guard, [change], deadline.next())
        if (doubt !== null && change.kind === 'delete' && outcome === 'missing') return 'done'
        if (doubt !== null && outcome !== 'done' && outcome !== 'already') throw doubt
        return outcome
      } catch (error) {
        if (doubt !== null) throw doubt
        if (!isEnvelopeError(error) || error.code !== 'ERR_STORE_OUTCOME_UNKNOWN') throw error
        doubt = error as StoreError
      }
    }
  }

  /** Reads the keyring document that fenced a write. */
  async #follow(state: KeyringState, fencedRevision: number, deadline: Deadline): Promise<void> {
    const snapshot = await state.refresh(deadline.next())
    if (snapshot?.revision === fencedRevision) {
      throw new StoreError(
        'ERR_STORE_CONTRACT',
        'The store fenced a write at the revision its keyring document has. Nothing was written.',
      )
    }
  }

  async #checkFits(bytes: Uint8Array, deadline: Deadline): Promise<void> {
    this.#maxSealedBytes ??= (await this.#with.store.identify(deadline.next())).maxSealedBytes
    if (bytes.length + SEALED_OVERHEAD_BYTES > this.#maxSealedBytes) {
      throw new FormatError(
        'ERR_VALUE_TOO_LARGE',
        `The store keeps values of at most ${this.#maxSealedBytes - SEALED_OVERHEAD_BYTES} bytes. Nothing was written.`,
      )
    }
  }
}

function metaOf(stored: SecretHeader): RecordMeta {
  const meta = parseMeta(stored.meta)
  if (meta !== null) return meta
  throw new FormatError(
    'ERR_RECORD_DAMAGED',
    'The metadata of this record was not written by this library. Restore the record from a backup, or delete it.',
  )
}

function nextMeta(known: RecordMeta | null, context: CallerContext, at: string): RecordMeta {
  const version = (known?.version ?? 0) + 1
  return { version, context, createdAt: known?.createdAt ?? at, updatedAt: at, rewrappedAt: null }
}

/** Readers give the pairs the secret was written with: other pairs would shut them out, mostly by mistake. */
function checkSameContext(known: CallerContext, given: CallerContext): void {
  const keys = Object.keys(known)
  const same = keys.every((key) => Object.hasOwn(given, key) && given[key] === known[key])
  if (same && keys.length === Object.keys(given).length) return
  throw new LifecycleError(
    'ERR_CONTEXT_CHANGED',
    'The secret exists with other context pairs. Give the same pairs, or delete it first. Nothing was written.',
  )
}

function checkMetaFits(meta: string): void {
  if (Buffer.byteLength(meta) <= STORE_LIMITS.metaBytes) return
  throw new FormatError(
    'ERR_CONTEXT_TOO_LARGE',
    `The context takes more than ${STORE_LIMITS.metaBytes} bytes as JSON. Nothing was written.`,
  )
}

function entryOf(header: SecretHeader): SecretEntry {
  const meta = parseMeta(header.meta)
  return {
    name: header.name,
    version: meta?.version ?? null,
    kekId: kekIdOfWrap(header.wrap),
    createdAt: meta?.createdAt ?? null,
    updatedAt: meta?.updatedAt ?? null,
    rewrappedAt: meta?.rewrappedAt ?? null,
  }
}

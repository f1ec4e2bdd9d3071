/** Options of every call to a store. */
export interface CallOptions {
  /**
   * Aborts the call. It then rejects with `ERR_STORE_UNAVAILABLE`, or with `ERR_STORE_OUTCOME_UNKNOWN` once a write was
   * sent.
   */
  readonly signal?: AbortSignal
  /** Milliseconds until the call gives up, with the codes of `signal`. @defaultValue 10_000 */
  readonly timeoutMs?: number
}

/** Options of a census: leave to count less, which a store may ignore. */
export interface CensusOptions extends CallOptions {
  /** The limit of each KEK, from 0; see `[CENSUS-3]`. @defaultValue none: every record is counted */
  readonly upTo?: number
  /** The limits of single KEKs, by id. @defaultValue `upTo` */
  readonly upToOf?: Readonly<Record<string, number>>
}

/** One stored secret. `wrap` is compared; `meta` and `sealed` are carried. */
export interface StoredSecret {
  /** 1 to 512 bytes of UTF-8, no U+0000; compared byte for byte, never normalised or case-folded. */
  readonly name: string
  /** The wrap text `talos:v2:<kek_id>:<wrap>`: ASCII, at most 1,464 characters; the compare-and-swap token. */
  readonly wrap: string
  /** JSON text, at most 16 KiB: value version, the caller's context, times. The store never reads it. */
  readonly meta: string
  /** Nonce, ciphertext and tag: 28 bytes up to `identify().maxSealedBytes`. */
  readonly sealed: Uint8Array
}

/** A stored secret without its sealed bytes. */
export type SecretHeader = Omit<StoredSecret, 'sealed'>

/** One change of one record. `expectedWrap` is the wrap text that the record must carry for it to take effect. */
export type Change =
  | { readonly kind: 'create'; readonly secret: StoredSecret }
  | { readonly kind: 'replace'; readonly expectedWrap: string; readonly secret: StoredSecret }
  | { readonly kind: 'rewrap'; readonly expectedWrap: string; readonly secret: SecretHeader }
  | { readonly kind: 'delete'; readonly expectedWrap: string; readonly name: string }

/**
 * What became of one change.
 *
 * - `done`: it took effect in this call.
 * - `already`: the record carries exactly the wrap text to be written: an earlier attempt took effect. For a
 *   delete: never (a record that is gone answers `missing`).
 * - `changed`: the record carries another wrap text. Nothing was written.
 * - `missing`: there is no such record. Nothing was written.
 * - `fenced`: the keyring document is not at the revision `guard`. Nothing was written.
 */
export type Outcome = 'done' | 'already' | 'changed' | 'missing' | 'fenced'

/** One page of a listing. */
export interface Page<T> {
  /** At most as many as the `limit` asked for. */
  readonly items: readonly T[]
  /** Give it as `cursor` to read on; `null` after the last page. A page may be empty and not be the last. */
  readonly next: string | null
}

/** What one page of a scan is to hold. */
export interface ScanQuery {
  /** `null` for the first page, then the `next` of the page before it, with the same `exceptKekId` and `shard`. */
  readonly cursor: string | null
  /** The most items of the page, from 1; a store may answer fewer. */
  readonly limit: number
  /** Leaves out the records under this KEK; see `[SCAN-2]`. @defaultValue none is left out */
  readonly exceptKekId?: string
  /** One of the texts that `shards` has answered: reads the records of this shard only. @defaultValue all records */
  readonly shard?: string
}

/** A small shared document beside the secrets. */
export interface StoredDocument {
  /** ASCII, at most 200 characters. */
  readonly key: string
  /** At most 64 KiB of text. */
  readonly value: string
  /** 1, 2, 3 …, one more with every write. */
  readonly revision: number
  /** Milliseconds since the last write by the store's own clock; `null` where it has none. */
  readonly ageMs: number | null
}

/** What a store is and how far its answers can be trusted. */
export interface StoreIdentity {
  /** The kind of store, such as `sqlite`. */
  readonly kind: string
  /** Differs when this may not be the same, uninterrupted data. */
  readonly incarnation: string
  /** `strong`: what was acknowledged is kept and counted. `advisory`: it may not be, see `reasons`. */
  readonly level: 'strong' | 'advisory'
  /** Why the level is advisory, in words; empty when it is strong. */
  readonly reasons: readonly string[]
  /** The longest sealed bytes a record may have: at least 131,072. */
  readonly maxSealedBytes: number
}

/** The document whose revision guards every write. Only its revision means anything to a store. */
export const KEYRING_DOCUMENT = 'keyring'

/**
 * Where secrets are kept. A store understands nothing: it compares one text, compares one number and counts one
 * prefix. Which KEK may be used at which revision is decided above it; a store only promises that the revision has
 * not moved when a write takes effect. Contract version 0.
 *
 * - `[FAIL-1]` `StoreError` with `ERR_STORE_UNAVAILABLE` means: certainly not written, not one change of the call. Its
 *   `retryable` is true. A call that is aborted or runs out of time answers it, unless FAIL-2 applies.
 * - `[FAIL-2]` `StoreError` with `ERR_STORE_OUTCOME_UNKNOWN` means: repeat the call or re-read. Its `retryable` is true. A
 *   call that is aborted or runs out of time once its write was sent answers it.
 * - `[FAIL-3]` The caller's client is never closed or reconfigured.
 * - `[FAIL-4]` An error carries no content: nothing that can be reached from it, its causes among them, holds a name, wrap
 *   text, metadata, sealed bytes or the value of a document, whole or in part. The key of a document may be named.
 * - `[LIMIT-1]` What is outside of a bound stated here is refused with a `TypeError`, the whole call, before anything is
 *   sent.
 */
export interface SecretStore {
  /**
   * Says what this store is.
   *
   * - `[ID-1]` The incarnation is stable over reconnects and differs after a restore or failover that may have lost
   *   writes.
   */
  identify(options?: CallOptions): Promise<StoreIdentity>

  /**
   * Reads up to 100 records.
   *
   * - `[READ-1]` Answers in the order asked, `null` for none, authoritative.
   */
  read(names: readonly string[], options?: CallOptions): Promise<readonly (StoredSecret | null)[]>

  /**
   * Reads one page of headers.
   *
   * - `[SCAN-1]` Every record that is there from start to end is seen at least once; order is not promised; cursors are
   *   opaque; a page holds at most `limit` items. A cursor must not contain what a re-wrap changes: by KEK id and name, a
   *   record could be carried past it.
   * - `[SCAN-2]` `exceptKekId` leaves out the records whose wrap text begins `talos:v2:<id>:`.
   * - `[SCAN-3]` Never reads or returns sealed bytes.
   */
  scan(query: ScanQuery, options?: CallOptions): Promise<Page<SecretHeader>>

  /**
   * Applies independent changes, each one atomic, guarded and compare-and-swap.
   *
   * - `[CAS-1]` Compare and write are one atomic step per change; a read followed by a write does not qualify.
   * - `[CAS-2]` Of any number of concurrent calls with equal `expectedWrap` and different next wraps exactly one sees
   *   `done`.
   * - `[CAS-3]` A loser changes nothing, byte for byte.
   * - `[CAS-4]` Every call may be repeated with the same arguments and answers `already` when the record carries exactly
   *   the wrap text to be written: drivers repeat writes behind our back.
   * - `[CAS-5]` Changes of one call are independent, with one outcome each, in order; no name occurs twice.
   * - `[CAS-6]` Never an upsert: rewrap and replace create nothing, delete of another wrap deletes nothing.
   * - `[GUARD-1]` In the same atomic step every change but `delete` needs the document `keyring` at revision `guard`;
   *   otherwise its outcome is `fenced`, or `already` where CAS-4 says so: what took effect before a fence is not denied.
   * - `[GUARD-2]` Without a keyring document the outcome is `fenced`.
   * - `[GUARD-3]` When `writeDocument('keyring', …)` has returned, no write with an older guard can still take effect,
   *   however long its transaction has been open.
   *
   * @param guard - Revision of the keyring document that the caller saw.
   * @param changes - At most 1,000 changes.
   * @returns One outcome per change, in order. A lost race is a result, not an error.
   * @throws StoreError `ERR_STORE_UNAVAILABLE`: certainly not written. `ERR_STORE_OUTCOME_UNKNOWN`: repeat or re-read.
   */
  write(guard: number, changes: readonly Change[], options?: CallOptions): Promise<readonly Outcome[]>

  /**
   * Counts the records of each KEK.
   *
   * - `[CENSUS-1]` Counts every record by the KEK id inside its wrap text.
   * - `[CENSUS-2]` Authoritative for everything written before it began; `identify().level` says if not.
   * - `[CENSUS-3]` Every number is exact, but for a KEK that has more records than its limit: it may get the limit and one.
   */
  census(options?: CensusOptions): Promise<ReadonlyMap<string, number>>

  /**
   * Reads one document, authoritatively.
   *
   * - `[GUARD-4]` Never returns a revision of `keyring` for which GUARD-3 does not hold yet: a store that needs several
   *   steps finishes an interrupted change first.
   */
  readDocument(key: string, options?: CallOptions): Promise<StoredDocument | null>

  /**
   * Writes or deletes one document.
   *
   * - `[DOC-1]` Writes only at `expectedRevision` (0 = absent) and answers the new revision, or `null` if it was another.
   * - `[DOC-2]` The value `null` deletes and answers 0. For the document `keyring` it is a `TypeError`: made anew it would
   *   count from 1 again, and a write with an older guard of the same number would take effect.
   * - `[DOC-3]` Repeating a successful write answers the same revision again: a document at `expectedRevision + 1` that
   *   carries exactly `value`, or, for a delete, no document. So of two writers of one value both win; a document that
   *   decides something carries a value of its writer's own.
   */
  writeDocument(
    key: string,
    expectedRevision: number,
    value: string | null,
    options?: CallOptions,
  ): Promise<number | null>

  /** Reads one page of the documents whose key begins with `prefix`; what `[SCAN-1]` says of records holds here too. */
  listDocuments(
    query: { readonly prefix: string; readonly cursor: string | null; readonly limit: number },
    options?: CallOptions,
  ): Promise<Page<StoredDocument>>

  /**
   * Divides the records into shards, so that several processes read them at once and no record twice. Optional: a store
   * without it is read as one shard.
   *
   * - `[SHARD-1]` Every record, also one created later, belongs to exactly one of the shards answered: scanning each of them
   *   sees, together, what SCAN-1 promises of one scan, and no record in two of them.
   * - `[SHARD-2]` A shard is 1 to 1,500 characters of visible ASCII, at least one is answered, and it stays good, in every
   *   process, while records come, go and are re-wrapped. A cursor belongs to the shard it came from.
   *
   * @param atMost - 1 to 32. A store with few records answers fewer, and may answer one.
   */
  shards?(atMost: number, options?: CallOptions): Promise<readonly string[]>
}

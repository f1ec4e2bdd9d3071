import type { EncodedContext } from '../format/context.ts'
import type { RecordMeta } from '../store/record-meta.ts'
import type { CallOptions, Outcome, Page } from '../store/secret-store.ts'

/** Something whose DEK can be put under another KEK. */
export interface RewrapItem {
  /** The name of a secret, or the id of an envelope in its declared source. Unique in its target. */
  readonly name: string
  /** The wrap text. */
  readonly wrap: string
  /** `null` when what it is to be made of is damaged. */
  readonly context: EncodedContext | null
  /** Of a stored secret only. */
  readonly meta: RecordMeta | null
}

/** An item with the wrap text it is to get. */
export interface PlannedRewrap {
  readonly item: RewrapItem
  readonly wrap: string
}

/** Where a rotation finds envelopes and puts them back: the vault's own store, or a declared source. */
export interface RewrapTarget {
  /** The declared source; `null` for the store. */
  readonly source: string | null
  /** Reads one page of what is not under `exceptKekId`, as the store contract says of a scan. */
  scan(
    query: {
      readonly shard: string | null
      readonly cursor: string | null
      readonly limit: number
      readonly exceptKekId: string
    },
    options: CallOptions,
  ): Promise<Page<RewrapItem>>
  /**
   * Exchanges wrap texts, compare-and-swap.
   *
   * @param guard - Revision of the keyring document that the plan was made at.
   * @param at - The time of the rewrap: RFC 3339 UTC.
   * @returns One outcome per rewrap, in order.
   */
  write(
    guard: number,
    rewraps: readonly PlannedRewrap[],
    at: string,
    options: CallOptions,
  ): Promise<readonly Outcome[]>
}

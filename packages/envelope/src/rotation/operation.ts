import type { DecryptReason } from '../errors.ts'
import type { WaitingFor } from '../lifecycle/promote.ts'

/** How far a rotation is. `completed`, `failed` and `cancelled` are final, but for `retryFailed`. */
export type RotationStatus = 'running' | 'paused' | 'completed' | 'failed' | 'cancelled'

/**
 * Totals of an operation over all its passes. `scanned` is always the sum of the other five. A record that failed counts
 * once, by its last pass. What a batch did in the moment of a crash, or of a retry or the next `rotate` after an early end,
 * before its outcome was saved, is not counted.
 */
export interface RotationTotals {
  readonly scanned: number
  /** A dry run counts here what it would have re-wrapped. */
  readonly rewrapped: number
  /** Found under the target KEK already. */
  readonly alreadyCurrent: number
  /** Lost the compare-and-swap to another writer: fresh already, or picked up by the next pass. */
  readonly changed: number
  readonly deleted: number
  readonly failed: number
}

/** One rotate-all, as it stands. */
export interface RotationOperation {
  /** UUIDv7. */
  readonly id: string
  readonly status: RotationStatus
  /** Whether it opens what it would re-wrap and writes nothing. */
  readonly dryRun: boolean
  readonly targetKekId: string
  /** Whom the promotion of the target waits for, at most 50 of them; empty once it is current. */
  readonly waitingFor: readonly WaitingFor[]
  readonly totals: RotationTotals
  /** 1 for the first pass over the store. */
  readonly pass: number
  /** The parts of this pass, any of which an instance may take; `total` is 0 before they are known and after the end. */
  readonly shards: { readonly total: number; readonly done: number; readonly working: number }
  /**
   * Stale records of the store, counted at its begin; after a retry what had been scanned and those counted anew. `null` before
   * that, and where they could not be counted in time.
   */
  readonly expected: number | null
  /** Records a second lately, of all workers together; 0 while nobody works. */
  readonly perSecond: number
  /** What is left of `expected` at this speed, in milliseconds; `null` where that cannot be told. */
  readonly remainingMs: number | null
  /** Ids of the instances at work. */
  readonly workers: readonly string[]
  readonly ratePerSecond: number | null
  readonly concurrency: number
  /** RFC 3339 UTC, as the other times. */
  readonly startedAt: string
  readonly updatedAt: string
  readonly completedAt: string | null
  /** Who paused it; `null` unless it is paused. */
  readonly pausedBy: 'operator' | 'outage' | null
  /** What stopped it; while it is running, the outage that it waits out, or what keeps instances from working on it. */
  readonly lastError: RotationError | null
}

/** What an operation met. */
export interface RotationError {
  readonly code: string
  readonly message: string
}

/** A record that an operation could not re-wrap. */
export interface RotationFailure {
  /** Of the secret; in a declared source the id of the envelope. */
  readonly name: string
  /** The declared source; `null` for the vault's own store. */
  readonly source: string | null
  /** The check that failed; `metadata_damaged` when the record's metadata is not this library's. */
  readonly reason: DecryptReason | 'metadata_damaged'
  readonly kekId: string | null
  /** The first 16 bytes of SHA-256 (FIPS 180-4) of the wrap text, as 32 hexadecimal digits: tells whether it is still the same. */
  readonly digest: string
}

export const NO_TOTALS: RotationTotals = {
  scanned: 0,
  rewrapped: 0,
  alreadyCurrent: 0,
  changed: 0,
  deleted: 0,
  failed: 0,
}

const TOTALS = Object.keys(NO_TOTALS) as (keyof RotationTotals)[]

/** Adds totals up, member by member. */
export function sumOfTotals(parts: readonly RotationTotals[]): RotationTotals {
  const sum = { ...NO_TOTALS }
  for (const part of parts) for (const member of TOTALS) sum[member] += part[member]
  return sum
}

/** What the next pass begins with: it meets the failures of the last one again and counts them anew. */
export function withoutFailed(totals: RotationTotals): RotationTotals {
  return { ...totals, scanned: totals.scanned - totals.failed, failed: 0 }
}

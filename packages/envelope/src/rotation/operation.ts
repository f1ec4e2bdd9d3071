import type { DecryptReason } from '../errors.ts'
import type { WaitingFor } from '../lifecycle/promote.ts'

/** How far a rotation is. `completed`, `failed` and `cancelled` are final. */
export type RotationStatus = 'running' | 'paused' | 'completed' | 'failed' | 'cancelled'

/**
 * Totals of an operation over all its passes. `scanned` is always the sum of the other five. A record that failed counts
 * once, by its last pass. What a batch did in the moment of a crash, before its outcome was saved, is not counted.
 */
export interface RotationTotals {
  readonly scanned: number
  readonly rewrapped: number
  /** Found under the target KEK already. */
  readonly alreadyCurrent: number
  /** Lost the compare-and-swap to another writer: fresh already, or picked up by the next pass. */
  readonly changed: number
  readonly deleted: number
  readonly failed: number
}

/** The durable record of one rotate-all. */
export interface RotationOperation {
  /** UUIDv7. */
  readonly id: string
  readonly status: RotationStatus
  readonly targetKekId: string
  /** Whom the promotion of the target waits for; empty once it is current. */
  readonly waitingFor: readonly WaitingFor[]
  readonly totals: RotationTotals
  /** 1 for the first pass over the store. */
  readonly pass: number
  /** Where the pass stands: opaque, `null` at its start. */
  readonly cursor: string | null
  /** Records that this pass found stale and did not fail on. A pass that ends with 0 is the last. */
  readonly foundInPass: number
  readonly ratePerSecond: number | null
  /** RFC 3339 UTC, as the other times. */
  readonly startedAt: string
  readonly updatedAt: string
  readonly completedAt: string | null
  /** What stopped it; while it is running, the outage of a key provider that it waits out. */
  readonly lastError: { readonly code: string; readonly message: string } | null
  /** The instance that works on it; `null` when nobody does. */
  readonly worker: string | null
  /** How long after its last save others count the worker as alive. */
  readonly leaseMs: number
}

/** A record that an operation could not re-wrap. */
export interface RotationFailure {
  readonly name: string
  /** The check that failed; `metadata_damaged` when the record's metadata is not this library's. */
  readonly reason: DecryptReason | 'metadata_damaged'
  readonly kekId: string | null
}

export const NO_TOTALS: RotationTotals = {
  scanned: 0,
  rewrapped: 0,
  alreadyCurrent: 0,
  changed: 0,
  deleted: 0,
  failed: 0,
}

/** Whether an operation is still to be worked on, now or after a pause. */
export function isActive(operation: RotationOperation): boolean {
  return operation.status === 'running' || operation.status === 'paused'
}

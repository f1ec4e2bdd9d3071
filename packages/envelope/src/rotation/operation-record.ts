import type { WaitingFor } from '../lifecycle/promote.ts'
import {
  type RotationError,
  type RotationOperation,
  type RotationStatus,
  type RotationTotals,
  sumOfTotals,
} from './operation.ts'

/** Where a shard is: a shard of the store or of a declared source; without a `part` the whole of it. */
export interface ShardPlace {
  readonly source: string | null
  readonly part: string | null
}

/** The document of an operation: what is decided once for all its workers. */
export interface OperationRecord {
  readonly id: string
  readonly status: RotationStatus
  readonly dryRun: boolean
  readonly targetKekId: string
  readonly waitingFor: readonly WaitingFor[]
  readonly pass: number
  /** Counts how often the shards were divided: progress of an earlier round is part of `totals`. */
  readonly round: number
  /** `null` before they were divided, and after the end. */
  readonly shards: readonly ShardPlace[] | null
  /** Of earlier rounds; of all, once the operation has ended by itself. */
  readonly totals: RotationTotals
  readonly expected: number | null
  /** Re-wrapped before this pass. */
  readonly rewrappedBefore: number
  /** Passes in a row that found something and re-wrapped nothing of it. */
  readonly fruitlessPasses: number
  readonly ratePerSecond: number | null
  readonly concurrency: number
  /** How long an outage is waited out. */
  readonly pauseAfterMs: number
  readonly startedAt: string
  readonly updatedAt: string
  readonly completedAt: string | null
  readonly pausedBy: 'operator' | 'outage' | null
  readonly lastError: RotationError | null
}

/** The document of one shard: how far its worker is. */
export interface ShardRecord {
  readonly pass: number
  /** Whether this pass has ended here. */
  readonly done: boolean
  /** Where the pass stands; `null` at its start. May name a secret. */
  readonly cursor: string | null
  /** Over all passes of the round. */
  readonly totals: RotationTotals
  /** Records that this pass found stale and did not fail on. */
  readonly foundInPass: number
  readonly perSecond: number
  readonly savedAt: string
  /** The instance that works on it; `null` when nobody does. */
  readonly worker: string | null
  /** How long after its last save others count the worker as alive. */
  readonly leaseMs: number
  /** The outage that its worker waits out, or why the last one left it to others. */
  readonly lastError: RotationError | null
}

/** A shard's document with what a compare-and-swap needs. */
export interface LoggedShard {
  readonly index: number
  readonly record: ShardRecord
  readonly revision: number
  /** Milliseconds since the last save by the store's clock; `null` where it has none. */
  readonly ageMs: number | null
}

/** Whether an operation is still to be worked on, now or after a pause. */
export function isActive({ status }: Pick<OperationRecord, 'status'>): boolean {
  return status === 'running' || status === 'paused'
}

/** Whether a shard is worked through in the present pass. */
export function isDone({ pass }: OperationRecord, shard: ShardRecord | undefined): boolean {
  return shard !== undefined && shard.pass === pass && shard.done
}

/** Totals of an operation with those of its shards. */
export function totalsOf(record: OperationRecord, shards: readonly LoggedShard[]): RotationTotals {
  return sumOfTotals([record.totals, ...shards.map((shard) => shard.record.totals)])
}

/** Puts together what callers see of an operation. */
export function operationOf(record: OperationRecord, shards: readonly LoggedShard[]): RotationOperation {
  const { status, expected } = record
  const totals = totalsOf(record, shards)
  const atWork = status === 'running' ? shards.filter(isHeld) : []
  const perSecond = Math.round(atWork.reduce((sum, shard) => sum + shard.record.perSecond, 0) * 10) / 10
  const left = expected === null ? null : Math.max(0, expected - totals.scanned)
  return {
    id: record.id,
    status,
    dryRun: record.dryRun,
    targetKekId: record.targetKekId,
    waitingFor: record.waitingFor,
    totals,
    pass: record.pass,
    shards: {
      total: isActive(record) ? (record.shards?.length ?? 0) : 0,
      done: isActive(record) ? shards.filter((shard) => isDone(record, shard.record)).length : 0,
      working: atWork.length,
    },
    expected,
    perSecond,
    remainingMs: left === null || perSecond === 0 ? null : Math.round((left / perSecond) * 1000),
    workers: [...new Set(atWork.map((shard) => shard.record.worker ?? ''))].sort(),
    ratePerSecond: record.ratePerSecond,
    concurrency: record.concurrency,
    startedAt: record.startedAt,
    updatedAt: [record.updatedAt, ...shards.map((shard) => shard.record.savedAt)].sort().at(-1) ?? '',
    completedAt: record.completedAt,
    pausedBy: record.pausedBy,
    lastError: record.lastError ?? (status === 'running' ? outageOf(shards) : null),
  }
}

/** Whether a worker holds a shard, as far as a look without memory can tell. */
function isHeld({ record, ageMs }: LoggedShard): boolean {
  return record.worker !== null && (ageMs === null || ageMs <= record.leaseMs)
}

function outageOf(shards: readonly LoggedShard[]): RotationError | null {
  return shards.find(({ record }) => record.lastError !== null)?.record.lastError ?? null
}

import type { RotationStatus, RotationTotals, ShardJob } from '@talos/envelope'

/** What one process of the test is started with. */
export interface WorkerSettings {
  readonly url: string
  readonly engine: 'pg-boss' | 'in process'
  /** Whether it stands still in the middle of every shard it takes, after its first batch. */
  readonly freezes: boolean
}

/** One line that a process prints. */
export type Said =
  | { readonly is: 'open' }
  | { readonly is: 'rotating'; readonly id: string }
  /** Only where its runner can be heard. */
  | { readonly is: 'began'; readonly job: ShardJob }
  | { readonly is: 'ended'; readonly job: ShardJob; readonly outcome: string }
  /** So many records of a shard are re-wrapped, and nobody is told. */
  | { readonly is: 'frozen'; readonly records: number }
  | {
      readonly is: 'progress'
      readonly status: RotationStatus
      readonly pass: number
      readonly shards: { readonly total: number; readonly done: number; readonly working: number }
      readonly totals: RotationTotals
    }
  | { readonly is: 'fault'; readonly message: string }

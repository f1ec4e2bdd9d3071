import type { CallOptions } from '../store/secret-store.ts'

/** A shard of one pass of an operation, to be worked on. Carries ids and numbers only, so that any queue may hold it. */
export interface ShardJob {
  /** UUIDv7. */
  readonly operationId: string
  /** 1 for the first pass. */
  readonly pass: number
  /** 0 for the first shard. */
  readonly shard: number
}

/**
 * What became of a job.
 *
 * - `done`: nothing is left to do for it: the shard is worked through, or the operation has ended, was paused or went on.
 * - `busy`: another worker holds the shard and is alive, or this instance cannot do it. Worth another try after
 *   `retryAfterMs`.
 * - `stopped`: given up before its end, because the vault closes or the signal was aborted. It is to be handed out again.
 */
export type ShardOutcome =
  | { readonly outcome: 'done' }
  | { readonly outcome: 'busy'; readonly retryAfterMs: number }
  | { readonly outcome: 'stopped' }

/** Works on one shard. Never rejects for an outage: those are waited out. */
export type ShardWork = (job: ShardJob, options?: { readonly signal?: AbortSignal }) => Promise<ShardOutcome>

/** Options of `enqueue`. */
export interface EnqueueOptions extends CallOptions {
  /** How many jobs of the operation one instance should work on at once, which a job engine with a setting of its own may ignore. */
  readonly concurrency: number
}

/**
 * Hands the shards of a rotation to workers. The default one works on them in this process; another may use a job engine, to
 * which retries, dead letters and schedules are then left.
 *
 * A job may be done twice, also at once: every record is exchanged by compare-and-swap, and a lease per shard saves the work.
 */
export interface RotationRunner {
  /**
   * Begins to take jobs. Called once, when the vault opens.
   *
   * @param work - To be called for each job.
   * @returns A promise that fulfils once jobs are taken.
   */
  start(work: ShardWork): Promise<void>
  /**
   * Has these jobs done, here or by another instance, each at least once. Any instance calls it, and again with each of its
   * heartbeats for jobs that nobody works on: one that waits or runs already is to be left alone.
   */
  enqueue(jobs: readonly ShardJob[], options: EnqueueOptions): Promise<void>
  /** Takes no more jobs and waits for those in hand. Called when the vault closes. */
  stop(): Promise<void>
}

import type { Runtime } from '../runtime.ts'
import type { LoggedShard } from './operation-record.ts'

/** Tells whether the worker of a shard is alive: by the store's clock, and by watching its saves on one's own. */
export class ShardLeases {
  readonly #runtime: Runtime
  readonly #instanceId: string
  /** When a foreign worker's save was first seen, by shard. */
  readonly #watched = new Map<string, { readonly revision: number; readonly sinceMs: number }>()

  constructor(runtime: Runtime, instanceId: string) {
    this.#runtime = runtime
    this.#instanceId = instanceId
  }

  /**
   * Says how long a shard is to be left to its worker.
   *
   * @param key - Of operation and shard.
   * @returns Milliseconds; 0 when it is free, or its worker silent for longer than its lease.
   */
  waitMs(key: string, shard: LoggedShard | undefined): number {
    const worker = shard?.record.worker ?? null
    if (shard === undefined || worker === null || worker === this.#instanceId) {
      this.#watched.delete(key)
      return 0
    }
    const leftMs = shard.record.leaseMs - this.#ageMs(key, shard)
    // One millisecond past its end, so that a timer of that length finds it over.
    return leftMs < 0 ? 0 : leftMs + 1
  }

  #ageMs(key: string, { revision, ageMs }: LoggedShard): number {
    const nowMs = this.#runtime.monotonicMs()
    const watched = this.#watched.get(key)
    const sinceMs = watched?.revision === revision ? watched.sinceMs : nowMs
    this.#watched.set(key, { revision, sinceMs })
    // The store's clock may be put back; whoever has not saved for a lease on one's own is silent all the same.
    return Math.max(ageMs ?? 0, nowMs - sinceMs)
  }
}

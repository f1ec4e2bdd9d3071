import { StoreError } from '../errors.ts'
import type { Runtime } from '../runtime.ts'
import type { CallOptions } from '../store/secret-store.ts'

const DEFAULT_TIMEOUT_MS = 10_000
const MAX_TIMEOUT_MS = 2 ** 31 - 1

/** The time one call of the vault has, shared by the store calls it makes. */
export class Deadline {
  readonly #runtime: Runtime
  readonly #signal: AbortSignal | undefined
  readonly #endMs: number

  /** @throws TypeError for a `timeoutMs` that is no positive number. */
  constructor(runtime: Runtime, { signal, timeoutMs = DEFAULT_TIMEOUT_MS }: CallOptions) {
    if (typeof timeoutMs !== 'number' || !(timeoutMs > 0) || timeoutMs > MAX_TIMEOUT_MS) {
      throw new TypeError('timeoutMs is a positive number of milliseconds, at most 2,147,483,647.')
    }
    this.#runtime = runtime
    this.#signal = signal
    this.#endMs = runtime.monotonicMs() + timeoutMs
  }

  /**
   * Options for the next store call: what is left of the time.
   *
   * @throws StoreError `ERR_STORE_UNAVAILABLE` when there is none left or the caller has aborted: nothing is in flight.
   */
  next(): CallOptions {
    const timeoutMs = this.#endMs - this.#runtime.monotonicMs()
    if (this.#signal?.aborted === true || timeoutMs <= 0) {
      const why = timeoutMs <= 0 ? 'ran out of time' : 'was aborted'
      throw new StoreError(
        'ERR_STORE_UNAVAILABLE',
        `The call ${why}; nothing was written. It may be made again.`,
        {
          retryable: true,
        },
      )
    }
    return this.#signal === undefined ? { timeoutMs } : { signal: this.#signal, timeoutMs }
  }
}

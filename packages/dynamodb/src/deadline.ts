import { setTimeout } from 'node:timers/promises'
import { type CallOptions, StoreError } from '@talos/envelope'

const DEFAULT_TIMEOUT_MS = 10_000

/** How long a call may go on. */
export class Deadline {
  readonly #timeoutMs: number
  readonly #until: number
  readonly #signal: AbortSignal | undefined
  #over = false

  constructor(options: CallOptions = {}, defaultTimeoutMs = DEFAULT_TIMEOUT_MS) {
    this.#timeoutMs = options.timeoutMs ?? defaultTimeoutMs
    this.#until = performance.now() + this.#timeoutMs
    this.#signal = options.signal
  }

  /** Milliseconds left, at least 0. */
  get leftMs(): number {
    return Math.max(0, this.#until - performance.now())
  }

  /** Whether the call may not go on. */
  get passed(): boolean {
    return this.#over || this.#signal?.aborted === true || performance.now() > this.#until
  }

  /**
   * Makes the error of a call that may not go on.
   *
   * @param obstacle - What the call was waiting for.
   * @param mayBeWritten - Whether a write was sent that nobody knows the end of.
   */
  refusal(obstacle: string | null, mayBeWritten: boolean): StoreError {
    const aborted = this.#signal?.aborted === true
    const waiting = obstacle === null ? '' : `: ${obstacle}`
    const why = aborted ? 'the call was aborted' : `gave up after ${this.#timeoutMs} ms${waiting}`
    const details = { retryable: true, cause: aborted ? this.#signal?.reason : undefined }
    if (!mayBeWritten) return new StoreError('ERR_STORE_UNAVAILABLE', `${why}; nothing was written`, details)
    const message = `${why} after its write was sent; repeat the call or read again`
    return new StoreError('ERR_STORE_OUTCOME_UNKNOWN', message, details)
  }

  /**
   * Calls back once, when the call may not go on any more.
   *
   * @returns Stops waiting for that.
   */
  onPassed(callback: () => void): () => void {
    const end = (): void => {
      // A timer may be early by a part of a millisecond.
      this.#over = true
      callback()
    }
    const timer = globalThis.setTimeout(end, Math.min(this.leftMs, 2 ** 31 - 1))
    if (this.#signal?.aborted) callback()
    this.#signal?.addEventListener('abort', callback, { once: true })
    return () => {
      clearTimeout(timer)
      this.#signal?.removeEventListener('abort', callback)
    }
  }

  /** Waits a random time up to `longestMs`, or until the call may not go on. */
  async pause(longestMs: number): Promise<void> {
    const pauseMs = Math.min(this.leftMs, longestMs * (0.25 + Math.random() * 0.75))
    // An abort ends the pause early and is seen by whoever goes on.
    await setTimeout(pauseMs, undefined, this.#signal ? { signal: this.#signal } : {}).catch(() => {})
  }
}

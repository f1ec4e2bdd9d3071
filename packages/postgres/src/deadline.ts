import { setTimeout } from 'node:timers/promises'
import { type CallOptions, StoreError } from '@talos/envelope'

const DEFAULT_TIMEOUT_MS = 10_000

/** How long a call may go on. */
export class Deadline {
  readonly timeoutMs: number
  readonly #until: number
  readonly #signal: AbortSignal | undefined

  constructor(options: CallOptions = {}, defaultTimeoutMs = DEFAULT_TIMEOUT_MS) {
    this.timeoutMs = options.timeoutMs ?? defaultTimeoutMs
    this.#until = performance.now() + this.timeoutMs
    this.#signal = options.signal
  }

  /** Milliseconds left, at least 0. */
  get leftMs(): number {
    return Math.max(0, this.#until - performance.now())
  }

  /** Whether the caller has ended the call. */
  get aborted(): boolean {
    return this.#signal?.aborted === true
  }

  /** Whether the call may not go on. */
  get passed(): boolean {
    return this.aborted || performance.now() > this.#until
  }

  /**
   * Says why a call whose time is up ends.
   *
   * @param obstacle - What it was waiting for.
   */
  why(obstacle: string | null): string {
    if (this.#signal?.aborted) return 'the call was aborted'
    return `gave up after ${this.timeoutMs} ms${obstacle === null ? '' : `: ${obstacle}`}`
  }

  /** The error of a call that has written nothing and may not go on. */
  refusal(obstacle: string | null = null): StoreError {
    const cause = this.#signal?.aborted ? this.#signal.reason : undefined
    return new StoreError('ERR_STORE_UNAVAILABLE', `${this.why(obstacle)}; nothing was written`, {
      retryable: true,
      cause,
    })
  }

  /**
   * Calls back once, when the call may not go on any more.
   *
   * @returns Stops waiting for that.
   */
  onPassed(callback: () => void): () => void {
    const timer = globalThis.setTimeout(callback, Math.min(this.leftMs, 2 ** 31 - 1))
    if (this.#signal?.aborted) callback()
    this.#signal?.addEventListener('abort', callback, { once: true })
    return () => {
      clearTimeout(timer)
      this.#signal?.removeEventListener('abort', callback)
    }
  }

  /** Waits a random time between half of `longestMs` and all of it, or until the call may not go on. */
  async pause(longestMs: number): Promise<void> {
    const pauseMs = Math.min(this.leftMs, longestMs * (0.5 + Math.random() / 2))
    // An abort ends the pause early and is seen by whoever goes on.
    await setTimeout(pauseMs, undefined, this.#signal ? { signal: this.#signal } : {}).catch(() => {})
  }
}

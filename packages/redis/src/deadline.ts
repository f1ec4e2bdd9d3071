import { setTimeout } from 'node:timers/promises'
import { type CallOptions, StoreError } from '@talos/envelope'

const DEFAULT_TIMEOUT_MS = 10_000
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** How long a call may go on. */
export class Deadline {
  readonly #timeoutMs: number
  readonly #until: number
  readonly #signal: AbortSignal | undefined

  constructor(options: CallOptions = {}) {
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    this.#until = performance.now() + this.#timeoutMs
    this.#signal = options.signal
  }

  /** Whether the call may not go on. */
  get passed(): boolean {
    return this.#signal?.aborted === true || performance.now() > this.#until
  }

  /**
   * The error of a call that has sent no write and may not go on.
   *
   * @param obstacle - What it was waiting for.
   */
  refusal(obstacle: Error | null = null): StoreError {
    const { why, cause } = this.#end(obstacle)
    return new StoreError('ERR_STORE_UNAVAILABLE', `${why}; nothing was written`, { retryable: true, cause })
  }

  /** The error of a call that has sent a write and may not go on. */
  doubt(): StoreError {
    const { why, cause } = this.#end(null)
    return new StoreError(
      'ERR_STORE_OUTCOME_UNKNOWN',
      `${why} after its write was sent; repeat the call or read again`,
      { retryable: true, cause },
    )
  }

  /** What a promise answers, or `null` when the call may not go on before that. The promise is left to itself then. */
  async within<T>(promise: Promise<T>): Promise<{ readonly answer: T } | null> {
    let stop = () => {}
    const passed = new Promise<null>((resolve) => {
      const end = () => resolve(null)
      const timer = globalThis.setTimeout(end, Math.min(this.#leftMs, LONGEST_TIMER_MS))
      if (this.#signal?.aborted) end()
      this.#signal?.addEventListener('abort', end, { once: true })
      stop = () => {
        clearTimeout(timer)
        this.#signal?.removeEventListener('abort', end)
      }
    })
    try {
      return await Promise.race([promise.then((answer) => ({ answer })), passed])
    } finally {
      stop()
    }
  }

  /** Waits a random time between half of `longestMs` and all of it, or until the call may not go on. */
  async pause(longestMs: number): Promise<void> {
    const pauseMs = Math.min(this.#leftMs, longestMs * (0.5 + Math.random() / 2))
    // An abort ends the pause early and is seen by whoever goes on.
    await setTimeout(pauseMs, undefined, this.#signal ? { signal: this.#signal } : {}).catch(() => {})
  }

  get #leftMs(): number {
    return Math.max(0, this.#until - performance.now())
  }

  #end(obstacle: Error | null): { readonly why: string; readonly cause: unknown } {
    if (this.#signal?.aborted) return { why: 'the call was aborted', cause: this.#signal.reason }
    const why = `gave up after ${this.#timeoutMs} ms${obstacle === null ? '' : `: ${obstacle.message}`}`
    return { why, cause: obstacle ?? undefined }
  }
}

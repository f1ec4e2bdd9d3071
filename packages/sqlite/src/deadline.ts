import { setTimeout } from 'node:timers/promises'
import { type CallOptions, StoreError } from '@talos/envelope'

const DEFAULT_TIMEOUT_MS = 10_000
const LONGEST_PAUSE_MS = 25

/** How long a call may go on. */
export class Deadline {
  readonly #until: number
  readonly #timeoutMs: number
  readonly #signal: AbortSignal | undefined

  constructor(options: CallOptions = {}) {
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    this.#until = performance.now() + this.#timeoutMs
    this.#signal = options.signal
  }

  /**
   * Tells why a call that has written nothing may not go on; `null` while it may.
   *
   * @param obstacle - What it is waiting for.
   */
  passed(obstacle: Error | null): StoreError | null {
    const end = (why: string, cause: unknown) =>
      new StoreError('ERR_STORE_UNAVAILABLE', `${why}; nothing was written`, { retryable: true, cause })
    if (this.#signal?.aborted) return end('the call was aborted', this.#signal.reason)
    if (performance.now() <= this.#until) return null
    return end(
      `gave up after ${this.#timeoutMs} ms${obstacle ? `: ${obstacle.message}` : ''}`,
      obstacle ?? undefined,
    )
  }

  /** Milliseconds left, at least 0. */
  get leftMs(): number {
    return Math.max(0, this.#until - performance.now())
  }
}

/**
 * Waits before the next attempt, without stopping the event loop: a random time that grows with the attempts, so that
 * processes do not meet again, up to 25 ms, so that an abort or a released lock is soon noticed.
 *
 * @param attempt - 1 after the first failure.
 * @param atMostMs - What the call has left.
 */
export async function pause(attempt: number, atMostMs: number): Promise<void> {
  const longest = Math.min(LONGEST_PAUSE_MS, 2 ** attempt)
  await setTimeout(Math.min(atMostMs, 1 + Math.random() * (longest - 1)))
}

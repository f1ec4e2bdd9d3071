import type { CallOptions } from '@talos/envelope'
import { GaveUp } from './errors.ts'

const DEFAULT_TIMEOUT_MS = 10_000
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** What one call has left: its time, and whether its signal is still quiet. */
export class Budget {
  readonly #endsAt: number
  readonly #over = new AbortController()

  private constructor(endsAt: number) {
    this.#endsAt = endsAt
  }

  /** Runs one call with a budget. */
  static async spend<T>(options: CallOptions | undefined, body: (budget: Budget) => Promise<T>): Promise<T> {
    const timeoutMs = Math.min(options?.timeoutMs ?? DEFAULT_TIMEOUT_MS, LONGEST_TIMER_MS)
    const budget = new Budget(performance.now() + timeoutMs)
    const { signal } = options ?? {}
    const aborted = () => budget.#over.abort(signal?.reason)
    const timer = setTimeout(
      () => budget.#over.abort(new Error(`no answer within ${timeoutMs} ms`)),
      timeoutMs,
    )
    signal?.addEventListener('abort', aborted)
    if (signal?.aborted === true) aborted()
    try {
      return await body(budget)
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', aborted)
    }
  }

  remainingMs(): number {
    return Math.max(0, this.#endsAt - performance.now())
  }

  /** @throws GaveUp when nothing is left. */
  check(): void {
    if (this.#over.signal.aborted) throw new GaveUp(this.#over.signal.reason)
  }

  /**
   * Waits for work, but no longer than there is budget.
   *
   * @throws GaveUp when it ran out first. The work may then end at any time, or never, and nobody hears of it.
   */
  wait<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#over
    return new Promise((resolve, reject) => {
      const giveUp = () => reject(new GaveUp(signal.reason))
      if (signal.aborted) giveUp()
      else signal.addEventListener('abort', giveUp)
      work.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp))
    })
  }

  /** @throws GaveUp when the budget does not last that long. */
  async pause(milliseconds: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    try {
      await this.wait(
        new Promise<void>((resolve) => {
          timer = setTimeout(resolve, milliseconds)
        }),
      )
    } finally {
      clearTimeout(timer)
    }
  }
}

import { isEnvelopeError } from '../errors.ts'
import { jitter, type Runtime } from '../runtime.ts'

/** Thrown to leave the work when the engine is told to stop. */
export class Stopped extends Error {}

const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5_000

/** Waiting and insisting for background work: both end at once when told to stop. */
export class Patience {
  readonly #runtime: Runtime
  readonly #onFault: (error: unknown) => void
  #endSleep: (() => void) | null = null
  #endNap: (() => void) | null = null
  #stopping = false

  constructor(runtime: Runtime, onFault: (error: unknown) => void) {
    this.#runtime = runtime
    this.#onFault = onFault
  }

  get stopping(): boolean {
    return this.#stopping
  }

  stop(): void {
    this.#stopping = true
    this.#endSleep?.()
  }

  /** Ends a nap early: something that was waited for may have happened. A sleep goes on. */
  rouse(): void {
    this.#endNap?.()
  }

  /** Sleeps until the time is over; 0 lets the event loop turn once, so that stores which answer at once starve nobody. */
  async sleep(delayMs: number): Promise<void> {
    if (this.#stopping) return
    await new Promise<void>((resolve) => {
      const timer = this.#runtime.timer(resolve, delayMs)
      this.#endSleep = () => {
        timer.cancel()
        resolve()
      }
    })
    this.#endSleep = null
  }

  /** Sleeps until the time is over or until roused. */
  async nap(delayMs: number): Promise<void> {
    const sleeping = this.sleep(delayMs)
    this.#endNap = this.#endSleep
    await sleeping
    this.#endNap = null
  }

  /**
   * Makes a store call until it is answered: an outage is waited out and never held against a record.
   *
   * @throws Stopped when told to stop in the middle of an outage. Any error that trying again cannot mend.
   */
  async insist<T>(call: () => Promise<T>): Promise<T> {
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      try {
        return await call()
      } catch (error) {
        if (!isEnvelopeError(error) || !error.retryable) throw error
        if (this.#stopping) throw new Stopped()
        this.#onFault(error)
      }
      await this.sleep(jitter(this.#runtime, pauseMs))
    }
  }
}

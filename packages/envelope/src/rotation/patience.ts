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
  readonly #sleeping = new Set<() => void>()
  readonly #napping = new Set<() => void>()
  readonly #ending = new AbortController()

  constructor(runtime: Runtime, onFault: (error: unknown) => void) {
    this.#runtime = runtime
    this.#onFault = onFault
  }

  /** Aborted when told to stop: what waits for others than the store is not waited for any longer. */
  get signal(): AbortSignal {
    return this.#ending.signal
  }

  get stopping(): boolean {
    return this.#ending.signal.aborted
  }

  stop(): void {
    this.#ending.abort()
    for (const end of [...this.#sleeping, ...this.#napping]) end()
  }

  /** Ends a nap early: something that was waited for may have happened. A sleep goes on. */
  rouse(): void {
    for (const end of [...this.#napping]) end()
  }

  /** Sleeps until the time is over; 0 lets the event loop turn once, so that stores which answer at once starve nobody. */
  async sleep(delayMs: number): Promise<void> {
    await this.#pause(delayMs, this.#sleeping)
  }

  /** Sleeps until the time is over or until roused. */
  async nap(delayMs: number): Promise<void> {
    await this.#pause(delayMs, this.#napping)
  }

  /**
   * Makes a call to a store or a key provider until it is answered: an outage is waited out and never held against a record.
   *
   * @param call - The call, made anew each time.
   * @param leaving - Aborted when nobody wants the answer any more: the last error is thrown then.
   * @param hasProgressed - Asked after each failure: whether the call got on all the same. Pauses begin short again then.
   * @throws Stopped when told to stop in the middle of an outage. Any error that trying again cannot mend.
   */
  async insist<T>(
    call: () => Promise<T>,
    leaving?: AbortSignal,
    hasProgressed: () => boolean = () => false,
  ): Promise<T> {
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      try {
        return await call()
      } catch (error) {
        if (!isEnvelopeError(error) || !error.retryable) throw error
        if (this.stopping) throw new Stopped()
        if (leaving?.aborted === true) throw error
        this.#onFault(error)
        if (hasProgressed()) pauseMs = FIRST_PAUSE_MS
      }
      await this.sleep(jitter(this.#runtime, pauseMs))
    }
  }

  async #pause(delayMs: number, among: Set<() => void>): Promise<void> {
    if (this.stopping) return
    await new Promise<void>((resolve) => {
      const end = (): void => {
        timer.cancel()
        among.delete(end)
        resolve()
      }
      const timer = this.#runtime.timer(end, delayMs)
      among.add(end)
    })
  }
}

import { type EnvelopeError, isEnvelopeError } from '../errors.ts'
import { jitter, type Runtime } from '../runtime.ts'

/** Thrown to leave the work when the engine is told to stop. */
export class Stopped extends Error {}

/** Thrown when an outage has lasted longer than it is waited out. The error that was met last is its cause. */
export class LongOutage extends Error {
  readonly met: EnvelopeError

  constructor(met: EnvelopeError) {
    super('An outage was not waited out any longer.', { cause: met })
    this.met = met
  }
}

/** How long to insist, and what to do meanwhile. */
export interface Insistence {
  /** Aborted when nobody wants the answer any more: the last error is thrown then. */
  readonly leaving?: AbortSignal
  /** Asked after each failure: whether the call got on all the same. The outage counts as a new one then. */
  readonly hasProgressed?: () => boolean
  /** Milliseconds until {@link LongOutage}. @defaultValue for ever */
  readonly mostMs?: number
}

const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5_000

/** Waiting and insisting for background work: both end at once when told to stop. */
export class Patience {
  readonly #runtime: Runtime
  readonly #onFault: (error: unknown) => void
  readonly #sleeping = new Set<() => void>()
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
    for (const end of [...this.#sleeping]) end()
  }

  /** Sleeps until the time is over; 0 lets the event loop turn once, so that stores which answer at once starve nobody. */
  async sleep(delayMs: number): Promise<void> {
    if (this.stopping) return
    await new Promise<void>((resolve) => {
      const end = (): void => {
        timer.cancel()
        this.#sleeping.delete(end)
        resolve()
      }
      const timer = this.#runtime.timer(end, delayMs)
      this.#sleeping.add(end)
    })
  }

  /**
   * Makes a call to a store or a key provider until it is answered: an outage is waited out and never held against a record.
   *
   * @param call - The call, made anew each time.
   * @throws Stopped when told to stop in the middle of an outage. LongOutage after `mostMs`. Any error that trying again
   * cannot mend.
   */
  async insist<T>(call: () => Promise<T>, how: Insistence = {}): Promise<T> {
    const { leaving, hasProgressed, mostMs = Number.POSITIVE_INFINITY } = how
    let sinceMs: number | null = null
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      try {
        return await call()
      } catch (error) {
        if (!isEnvelopeError(error) || !error.retryable) throw error
        if (this.stopping) throw new Stopped()
        if (leaving?.aborted === true) throw error
        this.#onFault(error)
        const nowMs = this.#runtime.monotonicMs()
        if (hasProgressed?.() === true) {
          pauseMs = FIRST_PAUSE_MS
          sinceMs = null
        }
        sinceMs ??= nowMs
        if (nowMs - sinceMs >= mostMs) throw new LongOutage(error)
      }
      await this.sleep(jitter(this.#runtime, pauseMs))
    }
  }
}

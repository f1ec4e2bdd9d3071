/** Spreads records evenly in time, so that a limit per second also holds within a second. */
export class Pace {
  readonly #perSecond: number
  #nextAtMs = 0

  /** @param perSecond - Records per second; `Infinity` for no limit. */
  constructor(perSecond: number) {
    this.#perSecond = perSecond
  }

  /** The largest batch that keeps steps short: a quarter of a second's worth, at most `most`. */
  batch(most: number): number {
    return Math.max(1, Math.min(most, Math.ceil(this.#perSecond / 4)))
  }

  /** Books a batch and answers how many milliseconds to wait before it. */
  waitMs(nowMs: number, records: number): number {
    const startMs = Math.max(nowMs, this.#nextAtMs)
    this.#nextAtMs = startMs + (records / this.#perSecond) * 1000
    return startMs - nowMs
  }
}

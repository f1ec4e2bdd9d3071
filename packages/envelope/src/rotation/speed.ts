/** How long ago a batch was when it counts half. */
const HALF_LIFE_MS = 5_000
/** Over less than a second a speed says nothing: the first batch of a limited rate is not waited for. */
const LEAST_MS = 1_000

/** The speed of late: what was done against the time it took, older batches counting less. */
export class Speed {
  #records = 0
  #ms = 0

  /**
   * Notes a batch.
   *
   * @param records - How many records it had.
   * @param ms - Milliseconds since the batch before.
   * @returns Records a second, to one decimal.
   */
  note(records: number, ms: number): number {
    const weight = 0.5 ** (ms / HALF_LIFE_MS)
    this.#records = this.#records * weight + records
    this.#ms = this.#ms * weight + ms
    return Math.round((this.#records * 10_000) / Math.max(LEAST_MS, this.#ms)) / 10
  }
}

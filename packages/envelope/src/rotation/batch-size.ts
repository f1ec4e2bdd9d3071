/** The fewest records of a batch, unless a rate asks for fewer. */
const LEAST = 25
const FIRST = 250
/** A store that takes this long holds up others: a stop and a pause wait for it, and on some stores every reader does. */
const LONG_MS = 250
const SHORT_MS = 100

/** How many records a batch has: as many as the store writes in a tenth to a quarter of a second. */
export class BatchSize {
  readonly #most: number
  #size: number

  /** @param most - The most records of a batch, from 1. */
  constructor(most: number) {
    this.#most = most
    this.#size = Math.min(FIRST, most)
  }

  get size(): number {
    return this.#size
  }

  /** Learns from a batch: how many records it had, and how long the store took to write them. */
  learn(records: number, writeMs: number): void {
    if (writeMs > LONG_MS) this.#size = Math.min(this.#most, Math.max(LEAST, Math.ceil(records / 2)))
    else if (writeMs < SHORT_MS && records >= this.#size) this.#size = Math.min(this.#most, this.#size * 2)
  }
}

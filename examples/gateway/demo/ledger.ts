import { randomBytes } from 'node:crypto'

/** A value as it was acknowledged; the version counts the writes of its name. */
export interface Written {
  readonly value: string
  readonly version: number
}

/**
 * What the demo wrote last under each name, and was told is stored. Every value carries one marker of this run: to
 * search for the marker is to search for all values.
 */
export class Ledger {
  readonly marker = `sk-${randomBytes(18).toString('hex')}`
  readonly #written = new Map<string, Written>()

  get size(): number {
    return this.#written.size
  }

  get names(): readonly string[] {
    return [...this.#written.keys()]
  }

  newValue(): string {
    return `${this.marker}-${randomBytes(18).toString('base64url')}`
  }

  /** To be called when the write was acknowledged, and not before. */
  acknowledge(name: string, value: string): void {
    this.#written.set(name, { value, version: (this.#written.get(name)?.version ?? 0) + 1 })
  }

  value(name: string): string {
    const written = this.#written.get(name)
    if (written === undefined) throw new Error(`nothing was written under ${name}`)
    return written.value
  }

  snapshot(): ReadonlyMap<string, Written> {
    return new Map(this.#written)
  }
}

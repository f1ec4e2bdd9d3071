const HIDDEN = '[secret bytes]'

/**
 * Holds secret bytes that nothing prints: not `console.log`, JSON, a template string, a spread or a
 * debugger's preview of own properties. Clearing is best effort: a garbage-collected heap may have moved and
 * left copies.
 */
export class SecretBytes {
  readonly #bytes: Uint8Array

  /** @param bytes - They are copied. */
  constructor(bytes: Uint8Array) {
    this.#bytes = Uint8Array.from(bytes)
  }

  /** The number of bytes. */
  get length(): number {
    return this.#bytes.length
  }

  /**
   * Lends the bytes for the time of one call.
   *
   * @param borrow - Must not keep what it is given.
   * @returns What `borrow` returns.
   */
  use<T>(borrow: (bytes: Uint8Array) => T): T {
    return borrow(this.#bytes)
  }

  /** Overwrites the bytes with zeros. */
  clear(): void {
    this.#bytes.fill(0)
  }

  [Symbol.dispose](): void {
    this.clear()
  }

  toString(): string {
    return HIDDEN
  }

  toJSON(): string {
    return HIDDEN
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return HIDDEN
  }
}

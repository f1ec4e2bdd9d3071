import { createHash } from 'node:crypto'

/** How many failed authentications an address may have, and how much is remembered. */
export interface AuthLimitOptions {
  /** @defaultValue 20 */
  readonly failures?: number
  /** @defaultValue 60_000 */
  readonly windowMs?: number
  /** Addresses remembered; beyond it the one that failed first is forgotten. @defaultValue 10_000 */
  readonly addresses?: number
  /** Milliseconds of a clock that never runs backwards. @defaultValue performance.now */
  readonly monotonicMs?: () => number
}

/**
 * Counts failed authentications per address. It keeps logs readable and guessing slow; it is no defence of a guessable
 * token. Whoever shows a valid token is never counted, nor looked up.
 */
export class AuthLimit {
  readonly #failures = new Map<string, { count: number; readonly sinceMs: number }>()
  readonly #most: number
  readonly #windowMs: number
  readonly #addresses: number
  readonly #monotonicMs: () => number

  constructor(options: AuthLimitOptions = {}) {
    this.#most = options.failures ?? 20
    this.#windowMs = options.windowMs ?? 60_000
    this.#addresses = options.addresses ?? 10_000
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now())
  }

  /** How many addresses are remembered. */
  get size(): number {
    return this.#failures.size
  }

  /**
   * Notes a failure.
   *
   * @param given - The address, of any length: its digest is remembered.
   * @returns Whole seconds until the address may fail again; 0 while it is within its limit.
   */
  fail(given: string): number {
    // A proxy may let clients write what they like, and a piece of a header keeps the whole header in memory.
    const address = createHash('sha256').update(given).digest('base64')
    const nowMs = this.#monotonicMs()
    const known = this.#failures.get(address)
    if (known === undefined || nowMs - known.sinceMs >= this.#windowMs) {
      // Deleted first, so that the map stays ordered by the begin of the window.
      this.#failures.delete(address)
      if (this.#failures.size >= this.#addresses) this.#forgetOldest()
      this.#failures.set(address, { count: 1, sinceMs: nowMs })
      return 0
    }
    if (known.count >= this.#most)
      return Math.max(1, Math.ceil((known.sinceMs + this.#windowMs - nowMs) / 1000))
    known.count++
    return 0
  }

  #forgetOldest(): void {
    const oldest = this.#failures.keys().next()
    if (!oldest.done) this.#failures.delete(oldest.value)
  }
}

import { inspect } from 'node:util'
import type { SealedKekHeader } from './escrow-file.ts'

/** A KEK out of escrow. It prints as `[kek v1 a4bfc5f3914ad6bc]`, wherever it is printed; only `kek` gives the bytes. */
export class OpenedKek {
  readonly kekId: string
  /** 16 lowercase hexadecimal digits, computed again from the bytes. */
  readonly fingerprint: string
  /** When it was sealed: RFC 3339 in UTC, to the second. */
  readonly sealedAt: string
  readonly #kek: Uint8Array
  #disposed = false

  /** @internal */
  constructor(header: SealedKekHeader, kek: Uint8Array) {
    this.kekId = header.kekId
    this.fingerprint = header.fingerprint
    this.sealedAt = header.sealedAt
    this.#kek = kek
  }

  /** **The key itself**: 32 bytes, and no copy, so that `dispose()` overwrites them. */
  get kek(): Uint8Array {
    if (this.#disposed) throw new TypeError('The KEK was disposed of; open it again.')
    return this.#kek
  }

  /** Overwrites the bytes. */
  dispose(): void {
    this.#disposed = true
    this.#kek.fill(0)
  }

  /** The same as `dispose()`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose()
  }

  /** Names the id and the fingerprint, never the key. */
  toString(): string {
    return `[kek ${this.kekId} ${this.fingerprint}]`
  }

  /** The same text as `toString()`. */
  toJSON(): string {
    return this.toString()
  }

  /** The same text as `toString()`. */
  [inspect.custom](): string {
    return this.toString()
  }
}

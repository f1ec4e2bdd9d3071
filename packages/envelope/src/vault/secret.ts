import { inspect } from 'node:util'
import { FormatError } from '../errors.ts'

/**
 * One opened secret. Prints as `[secret openai/prod v3]`, wherever it is printed; only `text()` and `bytes()` give the value.
 */
export class Secret {
  readonly name: string
  readonly version: number
  /** The KEK its DEK was wrapped under when it was read. */
  readonly kekId: string
  readonly #value: Uint8Array
  #disposed = false

  /** @internal */
  constructor(name: string, version: number, kekId: string, value: Uint8Array) {
    this.name = name
    this.version = version
    this.kekId = kekId
    this.#value = value
  }

  /**
   * The value as text, decoded strictly from UTF-8.
   *
   * @throws FormatError `ERR_VALUE_NOT_TEXT` when the value is not well-formed UTF-8: use `bytes()`.
   */
  text(): string {
    this.#assertUsable()
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.#value)
    } catch {
      throw new FormatError('ERR_VALUE_NOT_TEXT', 'The value is not well-formed UTF-8. Read it with bytes().')
    }
  }

  /** A copy of the value's bytes. */
  bytes(): Uint8Array {
    this.#assertUsable()
    return this.#value.slice()
  }

  /** Overwrites the bytes held here. Copies made by `text()` and `bytes()` are out of its reach. */
  dispose(): void {
    this.#disposed = true
    this.#value.fill(0)
  }

  /** The same as `dispose()`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose()
  }

  /** Names the secret and its version, never the value. */
  toString(): string {
    return `[secret ${this.name} v${this.version}]`
  }

  /** The same text as `toString()`. */
  toJSON(): string {
    return this.toString()
  }

  /** The same text as `toString()`. */
  [inspect.custom](): string {
    return this.toString()
  }

  #assertUsable(): void {
    if (this.#disposed) throw new TypeError('The secret was disposed of; read it again.')
  }
}

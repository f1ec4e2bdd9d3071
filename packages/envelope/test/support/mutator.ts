import { joinParts, type Parts, partsOf } from '../sample.ts'

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const ODD = [
  '=',
  '+',
  '/',
  ':',
  ' ',
  '\n',
  '\r',
  '\0',
  '.',
  '%',
  '\u00e9',
  '\u0141',
  '\ufeff',
  '\ud800',
  '\udc00',
  '\u{1f600}',
]
const TOKENS = [
  'talos:v2:',
  'talos:v1:',
  'talos',
  'v2',
  'v1',
  'AAEA',
  'AAIA',
  '::',
  '_file',
  'A'.repeat(50),
  '',
]
const KEK_IDS = [
  'v1',
  'v2',
  '0',
  'v9',
  'held',
  'V1',
  'v1_file',
  '',
  'a'.repeat(32),
  'a'.repeat(33),
  'constructor',
]
const TEXT_LIMIT = 1_572_864
/** Where a field of `wrap` begins and ends: the places where lengths matter. */
const BORDERS = [0, 1, 2, 10, 42, 43, 81, 82, 83]
const FIELDS = [
  [0, 2],
  [2, 10],
  [10, 42],
  [42, 82],
  [0, 10],
  [10, 82],
] as const

/**
 * Alters envelopes in ways that know their structure, from a seed: the same seed gives the same texts in the same
 * order.
 */
export class Mutator {
  #state: number
  readonly #envelopes: readonly string[]

  /**
   * @param seed - An integer of 32 bits.
   * @param envelopes - What parts are taken from.
   */
  constructor(seed: number, envelopes: readonly string[]) {
    this.#state = seed >>> 0
    this.#envelopes = envelopes
  }

  /** An integer from 0 up to but not including `limit` (mulberry32). */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit)
  }

  pick<T>(choices: ArrayLike<T>): T {
    return choices[this.below(choices.length)] as T
  }

  /** One to three alterations of an envelope; now and then none, or a text that never was one. */
  next(envelope: string): string {
    const kind = this.below(20_000)
    if (kind === 0) return envelope + 'A'.repeat(TEXT_LIMIT - envelope.length - 1 + this.below(3))
    if (kind < 200) return envelope
    if (kind < 600) return this.#noise()
    let text = envelope
    for (let rounds = this.pick([1, 1, 1, 2, 2, 3]); rounds > 0; rounds--) {
      text = this.below(5) < 3 ? this.#alterText(text) : this.#alterParts(text)
    }
    return text
  }

  #noise(): string {
    const start = this.pick(['', 'talos:v2:', 'talos:v2:v1:', 'talos:v2:v1:AAGkv8XzkUrWvA'])
    const pieces = Array.from({ length: this.below(8) }, () => this.#piece())
    return start + pieces.join(this.pick(['', '', ':']))
  }

  #piece(): string {
    const kind = this.below(6)
    if (kind === 0) return this.pick(ODD)
    if (kind === 1) return this.pick(TOKENS)
    if (kind === 2) return Buffer.from(this.#bytes(this.below(90))).toString('base64url')
    return Array.from({ length: this.below(6) }, () => this.pick(BASE64URL)).join('')
  }

  #bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256))
  }

  #alterText(text: string): string {
    const at = this.below(text.length + 1)
    const [before, behind] = [text.slice(0, at), text.slice(at)]
    switch (this.below(8)) {
      case 0:
        return before
      case 1:
        return before + behind.slice(this.pick([1, 1, 2, 3, 4, 40]))
      case 2:
        return before + this.#piece() + behind
      case 3:
        return before + this.#piece() + behind.slice(1)
      case 4:
        return before + behind.slice(0, 8) + behind
      case 5:
        return behind + before
      case 6:
        return before + this.pick(BASE64URL) + behind.slice(1)
      default:
        return before + behind.charAt(1) + behind.charAt(0) + behind.slice(2)
    }
  }

  /** Takes the text apart, alters one part and puts it together, which leaves the rest as canonical as it was. */
  #alterParts(text: string): string {
    const parts = partsOf(text)
    switch (this.below(8)) {
      case 0:
        return joinParts({ ...parts, kekId: this.pick(KEK_IDS) })
      case 1: {
        const { wrap, kekId } = this.#other()
        return joinParts({ ...parts, wrap, kekId })
      }
      case 2:
        return joinParts({ ...parts, sealed: this.#other().sealed })
      case 3:
        return joinParts({ ...parts, wrap: this.#withField(parts, this.#other()) })
      case 4:
      case 5:
      case 6:
        return joinParts({ ...parts, wrap: this.#alterBytes(parts.wrap, BORDERS) })
      default:
        return joinParts({ ...parts, sealed: this.#alterBytes(parts.sealed, [0, 12, 27, 28, 29]) })
    }
  }

  #other(): Parts {
    return partsOf(this.pick(this.#envelopes))
  }

  #withField({ wrap }: Parts, other: Parts): Uint8Array {
    const [start, end] = this.pick(FIELDS)
    return Buffer.concat([wrap.subarray(0, start), other.wrap.subarray(start, end), wrap.subarray(end)])
  }

  #alterBytes(bytes: Uint8Array, borders: readonly number[]): Uint8Array {
    const at = this.below(4) === 0 ? this.pick(borders) : this.below(bytes.length + 1)
    const [before, behind] = [bytes.subarray(0, at), bytes.subarray(at)]
    switch (this.below(6)) {
      case 0:
        return before
      case 1:
        return Buffer.concat([before, this.#bytes(1), behind])
      case 2:
        return Buffer.concat([before, behind.subarray(1)])
      case 3:
        return Buffer.concat([before, this.#bytes(this.pick([1, 2, 8, 16, 32])), behind.subarray(8)])
      default: {
        const flipped = bytes.slice()
        const index = Math.min(at, bytes.length - 1)
        if (index >= 0) flipped[index] = (flipped[index] as number) ^ (1 << this.below(8))
        return flipped
      }
    }
  }
}

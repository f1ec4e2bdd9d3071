import fc from 'fast-check'
import { isKekId } from '../../src/format/envelope-v2.ts'

const texts = (minLength: number, maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: 'binary', minLength, maxLength }).filter((text) => !text.includes('\0'))

/** Contexts with keys that are alike, empty values and characters of every plane. */
export const contexts: fc.Arbitrary<Record<string, string>> = fc.dictionary(
  fc.oneof(texts(1, 20), fc.constantFrom('name', 'namespace', 'tenant', '\uffff', '\u{10000}', '__proto__')),
  fc.oneof(texts(0, 40), fc.constant('')),
  { minKeys: 1, maxKeys: 16, noNullPrototype: false },
)

export const values: fc.Arbitrary<Uint8Array> = fc.uint8Array({ maxLength: 2000 })

export const kekIds: fc.Arbitrary<string> = fc
  .tuple(
    fc.constantFrom(...'abcxyz0189'),
    fc.string({ unit: fc.constantFrom(...'abcxyz0189_-'), maxLength: 31 }),
    fc.constantFrom('', '', '_file'),
  )
  .map((parts) => parts.join(''))

export const legalKekIds: fc.Arbitrary<string> = kekIds.filter(isKekId)

/** Bytes that a key source takes as a KEK. */
export const keks: fc.Arbitrary<Uint8Array> = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .filter((bytes) => new Set(bytes).size >= 12 && bytes.some((byte) => byte < 0x20 || byte > 0x7e))

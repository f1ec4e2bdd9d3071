import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concat, decodeBase64url, encodeBase64url, u32 } from '../../src/bytes.ts'
import { encodeContext } from '../../src/format/context.ts'
import { kekIdOfWrap, parseEnvelope } from '../../src/format/envelope-v2.ts'
import { FormatError, peek } from '../../src/index.ts'
import { contexts, kekIds } from './arbitraries.ts'

/** PAE as the specification writes it, without any of the shortcuts of the implementation. */
function pae(parts: readonly Uint8Array[]): Uint8Array {
  return concat([u32(parts.length), ...parts.flatMap((part) => [u32(part.length), part])])
}

describe('base64url', () => {
  it('decodes what it encoded', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeBase64url(encodeBase64url(bytes))).toEqual(bytes)
      }),
    )
  })

  it('takes exactly one text for each byte string', () => {
    const characters = fc.constantFrom(...'AZaz09-_+/= \né')
    fc.assert(
      fc.property(fc.string({ unit: characters, maxLength: 12 }), (text) => {
        const bytes = decodeBase64url(text)
        expect(bytes === null || encodeBase64url(bytes) === text).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('an encoded context', () => {
  it('is what the specification says', () => {
    fc.assert(
      fc.property(contexts, (pairs) => {
        const entries = Object.entries(pairs).map((pair) => pair.map((text) => Buffer.from(text)))
        entries.sort(([left], [right]) => Buffer.compare(left as Buffer, right as Buffer))
        const labels = [
          Buffer.from('talos-envelope'),
          Buffer.from('v2'),
          Uint8Array.of(0, 1),
          Buffer.from('data'),
        ]
        expect(new Uint8Array(encodeContext(pairs))).toEqual(pae([...labels, pae(entries.flat())]))
      }),
      { numRuns: 1000 },
    )
  })

  it('differs for different contexts', () => {
    fc.assert(
      fc.property(contexts, contexts, (left, right) => {
        const sorted = [left, right].map((pairs) => JSON.stringify(Object.entries(pairs).sort()))
        const alike = Buffer.compare(encodeContext(left), encodeContext(right)) === 0
        expect(alike).toBe(sorted[0] === sorted[1])
      }),
    )
  })
})

describe('any text', () => {
  it('is an envelope or refused with a FormatError', () => {
    const pieces = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      kekIds,
      fc.uint8Array({ maxLength: 90 }).map(encodeBase64url),
      fc.constantFrom('talos', 'v2', 'v1', '', 'AAEA'),
    )
    const texts = fc.oneof(
      fc.array(pieces, { maxLength: 7 }).map((parts) => parts.join(':')),
      fc.tuple(pieces, pieces, pieces).map((parts) => `talos:v2:${parts.join(':')}`),
    )
    fc.assert(
      fc.property(texts, (text) => {
        try {
          peek(text)
        } catch (error) {
          if (!(error instanceof FormatError)) throw error
          const parsed = parseEnvelope(text)
          expect('fault' in parsed && parsed.fault).toBe(error.reason)
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('names a KEK id exactly when it begins like a wrap text', () => {
    const grammar = /^talos:v2:([a-z0-9][a-z0-9_-]{0,31}):/
    const texts = fc.tuple(fc.constantFrom('talos:v2:', 'talos:v1:', ''), kekIds, fc.string({ maxLength: 9 }))
    fc.assert(
      fc.property(texts, ([prefix, kekId, rest]) => {
        const text = `${prefix}${kekId}${rest}`
        const id = grammar.exec(text)?.[1] ?? null
        expect(kekIdOfWrap(text)).toBe(id?.endsWith('_file') ? null : id)
      }),
      { numRuns: 1000 },
    )
  })
})

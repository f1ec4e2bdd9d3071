import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Problem } from '../../src/index.ts'
import { parseStrictJson } from '../../src/strict-json.ts'

const LIMITS = { maxDepth: 5, maxBytesBesideValue: 1_000_000 }
const parse = (text: string | Uint8Array, limits = LIMITS) => parseStrictJson(Buffer.from(text), limits)

describe('parseStrictJson', () => {
  it('reads whatever JSON.stringify writes within the limits', () => {
    const value = fc
      .json({ depthSize: 'medium', maxDepth: 4, noUnicodeString: false })
      .filter((text) => !/__proto__/.test(text))
    fc.assert(
      fc.property(value, (text) => {
        expect(parse(text)).toEqual(JSON.parse(text))
      }),
    )
  })

  it('meets any text with an answer or a problem', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '\\',
      '\\"',
      '\\u0061',
      'a',
      '1',
      ' ',
      'null',
    )
    const text = fc.oneof(
      fc.array(pieces, { maxLength: 40 }).map((parts) => parts.join('')),
      fc.string(),
    )
    fc.assert(
      fc.property(text, (given) => {
        let expected: unknown
        try {
          expected = { is: JSON.parse(given) }
        } catch {
          expected = null
        }
        try {
          expect({ is: parse(given) }).toEqual(expected)
        } catch (error) {
          if (!(error instanceof Problem)) throw error
          // What JSON.parse takes is refused for the reasons it cannot know.
          if (expected !== null) {
            expect(['DUPLICATE_MEMBER', 'FORBIDDEN_MEMBER', 'NESTING_TOO_DEEP']).toContain(error.code)
          }
        }
      }),
      { numRuns: 2_000 },
    )
  })

  it('counts the bytes beside the value as they were sent', () => {
    const body = '{"value":"äöü\\u00e4","name":"ü"}'
    const valueBytes = Buffer.byteLength('äöü\\u00e4')
    const beside = Buffer.byteLength(body) - valueBytes
    expect(parse(body, { ...LIMITS, maxBytesBesideValue: beside })).toEqual({ value: 'äöüä', name: 'ü' })
    expect(() => parse(body, { ...LIMITS, maxBytesBesideValue: beside - 1 })).toThrow(Problem)
  })

  it('counts no member of the name "value" that is not at the top', () => {
    const limits = { ...LIMITS, maxBytesBesideValue: 30 }
    expect(() => parse(`{"a":{"value":"${'x'.repeat(30)}"}}`, limits)).toThrow(Problem)
    expect(() => parse(`{"value":["${'x'.repeat(30)}"]}`, limits)).toThrow(Problem)
    expect(parse(`{"v\\u0061lue":"${'x'.repeat(30)}"}`, limits)).toEqual({ value: 'x'.repeat(30) })
  })
})

import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { encodeContext } from '../../src/format/context.ts'

type Pairs = Record<string, string>

function hexOf(pairs: Pairs): string {
  return Buffer.from(encodeContext(pairs)).toString('hex')
}

/** Pairs with keys k0, k1 … of which each value has this many bytes. */
function pairs(count: number, valueBytes: number): Pairs {
  return Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`k${index}`, 'v'.repeat(valueBytes)]),
  )
}

describe('an encryption context', () => {
  it('is encoded the same in every order of its pairs', () => {
    expect(hexOf({ b: '2', a: '1' })).toBe(hexOf({ a: '1', b: '2' }))
  })

  it('is sorted by UTF-8 bytes, where U+10000 comes after U+FFFD', () => {
    const encoded = Buffer.from(encodeContext({ '\u{10000}': '', '\ufffd': '' })).toString('latin1')
    const first = encoded.indexOf(Buffer.from('\ufffd').toString('latin1'))
    const second = encoded.indexOf(Buffer.from('\u{10000}').toString('latin1'))
    expect(first).toBeGreaterThan(0)
    expect(second).toBeGreaterThan(first)
  })

  it('sorts a key before the keys it begins', () => {
    expect(hexOf({ ab: '', a: '', abc: '' })).toContain(
      ['0000000161', '00000000', '000000026162', '00000000', '00000003616263', '00000000'].join(''),
    )
  })

  it('is encoded the same way whatever its texts are made of', () => {
    const u32 = (value: number): Buffer => Buffer.from(value.toString(16).padStart(8, '0'), 'hex')
    const pae = (parts: readonly string[]): Buffer =>
      Buffer.concat([
        u32(parts.length),
        ...parts.flatMap((part) => [u32(Buffer.byteLength(part)), Buffer.from(part)]),
      ])
    for (const characters of ['', 'a', 'a\u007f', 'a\u0080', 'é', '€', '\u{10000}'])
      for (const length of [0, 1, 62, 63, 64, 65, 66]) {
        const text = 'x'.repeat(length) + characters
        const key = text === '' ? 'k' : text
        const encoded = Buffer.from(encodeContext({ [key]: text }))
        expect(encoded.subarray(-pae([key, text]).length)).toEqual(pae([key, text]))
      }
  })

  it('is not normalised', () => {
    expect(hexOf({ a: '\u00e9' })).not.toBe(hexOf({ a: 'e\u0301' }))
  })

  it('keeps pairs apart whose texts joined are alike', () => {
    const all = [{ a: 'bc' }, { ab: 'c' }, { abc: '' }, { a: 'b', c: '' }, { a: '', b: 'c' }].map(hexOf)
    expect(new Set(all).size).toBe(all.length)
  })

  it('takes keys that mean something to JavaScript as texts', () => {
    const own: Pairs = JSON.parse('{"__proto__":"1","constructor":"2","toString":"3"}')
    expect(hexOf(own)).toContain(Buffer.from('__proto__').toString('hex'))
    expect(hexOf(Object.assign(Object.create(null), { toString: '3' }))).toBe(hexOf({ toString: '3' }))
  })

  it('takes objects of another realm', () => {
    expect(hexOf(runInNewContext('({ a: "1" })'))).toBe(hexOf({ a: '1' }))
  })

  it.each([
    ['1 pair', pairs(1, 0)],
    ['16 pairs', pairs(16, 1)],
    ['a key of 1 byte and a value of none', { k: '' }],
    ['a key of 128 bytes', { ['é'.repeat(64)]: 'v' }],
    ['a value of 4,096 bytes', { k: `${'€'.repeat(1365)}v` }],
    ['8,192 bytes together', { a: 'v'.repeat(4095), b: 'v'.repeat(4095) }],
  ])('may have %s', (_, legal) => {
    expect(() => encodeContext(legal)).not.toThrow()
  })

  it.each<[string, unknown, RegExp]>([
    ['no pair', {}, /1 to 16 pairs, this one 0/],
    ['17 pairs', pairs(17, 1), /1 to 16 pairs, this one 17/],
    ['an empty key', { '': 'v' }, /key .* 1 to 128 bytes of UTF-8, this one 0/],
    ['a key of 129 bytes', { [`k${'é'.repeat(64)}`]: 'v' }, /key .* 1 to 128 bytes of UTF-8, this one 129/],
    [
      'a value of 4,097 bytes',
      { k: `vv${'€'.repeat(1365)}` },
      /value .* 0 to 4096 bytes of UTF-8, this one 4097/,
    ],
    ['8,193 bytes together', { a: 'v'.repeat(4095), b: 'v'.repeat(4096) }, /at most 8192 .* these are 8193/],
    ['a lone surrogate in a key', { '\ud800': 'v' }, /key .* lone surrogate/],
    ['a lone surrogate in a value', { k: 'a\udfff' }, /value .* lone surrogate/],
    ['U+0000 in a key', { 'a\0b': 'v' }, /key .* U\+0000/],
    ['U+0000 in a value', { k: '\0' }, /value .* U\+0000/],
    ['a number', { k: 1 }, /value .* must be text/],
    ['undefined', { k: undefined }, /value .* must be text/],
    ['a nested object', { k: { toString: () => 'v' } }, /value .* must be text/],
    ['a String object', { k: new String('v') }, /value .* must be text/],
    ['a symbol key', { k: 'v', [Symbol('s')]: 'v' }, /symbol keys/],
    ['a hidden property', Object.defineProperty({ k: 'v' }, 'h', { value: 'v' }), /not enumerable/],
    ['inherited pairs', Object.create({ tenant: 'acme' }), /plain object/],
    ['a Map', new Map([['k', 'v']]), /plain object/],
    ['an array', ['v'], /plain object/],
    ['a text', 'k=v', /plain object/],
    ['null', null, /plain object/],
    ['nothing', undefined, /plain object/],
  ])('is refused with %s', (_, illegal, rule) => {
    expect(() => encodeContext(illegal as Pairs)).toThrow(TypeError)
    expect(() => encodeContext(illegal as Pairs)).toThrow(rule)
  })

  it('is refused without telling its keys and values', () => {
    const faulty = [
      { 'hidden-key\0': 'hidden-value' },
      { 'hidden-key': 'hidden-value\ud800' },
      { 'hidden-key': 'hidden-value'.repeat(400) },
    ]
    for (const illegal of faulty) {
      expect(() => encodeContext(illegal)).toThrow(
        expect.not.objectContaining({ message: expect.stringContaining('hidden') }),
      )
    }
  })
})

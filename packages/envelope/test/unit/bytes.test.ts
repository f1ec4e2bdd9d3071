import { describe, expect, it } from 'vitest'
import {
  base64urlLength,
  canonicalBase64urlLength,
  concat,
  decodeBase64url,
  decodeHex,
  decodePublicBase64url,
  encodeBase64url,
  encodeHex,
  u32,
  utf8,
} from '../../src/bytes.ts'

describe('UTF-8', () => {
  it('encodes text of every plane', () => {
    expect(encodeHex(utf8('aé€😀'))).toBe('61c3a9e282acf09f9880')
    expect(utf8('')).toHaveLength(0)
  })

  it.each(['\ud800', 'a\udc00b', '\udc00\ud800'])('refuses a lone surrogate (%j)', (lone) => {
    expect(() => utf8(lone)).toThrow(TypeError)
  })

  it('lies in memory of its own', () => {
    expect(utf8('secret').buffer.byteLength).toBe(6)
  })
})

describe('base64url', () => {
  it('has no padding and the alphabet of URLs', () => {
    expect(encodeBase64url(Uint8Array.of(0xfb, 0xff))).toBe('-_8')
  })

  it('encodes the part of a buffer that a view shows', () => {
    expect(encodeBase64url(Uint8Array.of(1, 0, 0, 0, 2).subarray(1, 4))).toBe('AAAA')
  })

  it.each(['', 'AA', 'AAA', 'AAAA', '-_8', 'AQID'])('decodes the canonical text %j', (canonical) => {
    const bytes = decodeBase64url(canonical)
    expect(bytes).not.toBeNull()
    expect(encodeBase64url(bytes as Uint8Array)).toBe(canonical)
    expect(base64urlLength((bytes as Uint8Array).length)).toBe(canonical.length)
    expect(decodePublicBase64url(canonical)).toEqual(bytes)
    expect(canonicalBase64urlLength(canonical)).toBe(bytes?.length)
  })

  it.each([
    ['padding', 'AA=='],
    ['the alphabet of standard base64', '+/8'],
    ['bits behind the last byte', 'AB'],
    ['bits behind the last but one byte', 'AAB'],
    ['a single character', 'A'],
    ['one character too many', 'AAAAA'],
    ['white space', 'AA AA'],
    ['a newline at the end', 'AAAA\n'],
    ['a character outside of ASCII', 'AAAÀ'],
    ['a character that shares its low bits with a valid one', 'AA\u0141A'],
  ])('refuses %s', (_, lenient) => {
    expect(decodeBase64url(lenient)).toBeNull()
    expect(decodePublicBase64url(lenient)).toBeNull()
    expect(canonicalBase64urlLength(lenient)).toBeNull()
  })

  it.each([3_071, 3_072, 3_073, 6_144, 100_000])('is checked in parts: %i bytes', (length) => {
    const bytes = new Uint8Array(length).fill(0xa5)
    const text = encodeBase64url(bytes)
    expect(canonicalBase64urlLength(text)).toBe(length)
    for (const place of [0, 4_095, 4_096, text.length - 1].filter((index) => index < text.length)) {
      for (const wrong of ['+', '=', ' ', '\u0141']) {
        expect(canonicalBase64urlLength(text.slice(0, place) + wrong + text.slice(place + 1))).toBeNull()
      }
      expect(canonicalBase64urlLength(`${text.slice(0, place)} ${text.slice(place)}`)).toBeNull()
    }
  })

  it('is decoded into views without the methods of a Buffer, whose slices share memory', () => {
    const bytes = decodePublicBase64url('AQID') as Uint8Array
    expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype)
    bytes.slice().fill(0)
    expect(encodeHex(bytes)).toBe('010203')
  })
})

describe('hexadecimal', () => {
  it('encodes a part', () => {
    expect(encodeHex(Uint8Array.of(1, 2, 3, 4), 1, 3)).toBe('0203')
  })

  it.each(['', '00', 'ff', '0123456789abcdef'])('decodes the canonical text %j', (canonical) => {
    const bytes = decodeHex(canonical)
    expect(bytes).not.toBeNull()
    expect(encodeHex(bytes as Uint8Array)).toBe(canonical)
  })

  it.each([
    ['upper case', 'FF'],
    ['half a byte', '0'],
    ['half a byte more', '000'],
    ['a prefix', '0x00'],
    ['white space', '00 0'],
    ['a newline at the end', '00\n0'],
    ['no digit', 'gg'],
    ['a character that shares its low bits with a valid one', '0\u0130'],
  ])('refuses %s', (_, lenient) => {
    expect(decodeHex(lenient)).toBeNull()
  })
})

describe('byte strings', () => {
  it('are joined in order', () => {
    expect(concat([Uint8Array.of(1), new Uint8Array(), Uint8Array.of(2, 3)])).toEqual(Uint8Array.of(1, 2, 3))
  })

  it('hold integers big-endian', () => {
    expect(u32(0x01020304)).toEqual(Uint8Array.of(1, 2, 3, 4))
    expect(u32(0xffffffff)).toEqual(Uint8Array.of(255, 255, 255, 255))
  })
})

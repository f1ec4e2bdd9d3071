import { describe, expect, it } from 'vitest'
import {
  isKekId,
  kekIdOfWrap,
  parseEnvelope,
  parseWrap,
  serialiseWrap,
} from '../../src/format/envelope-v2.ts'
import { FormatError, peek, STORE_LIMITS } from '../../src/index.ts'
import { counting, joinParts, KNOWN, partsOf } from '../sample.ts'

const PARTS = partsOf(KNOWN.envelope)
const WRAP = KNOWN.envelope.slice(0, KNOWN.envelope.lastIndexOf(':'))

/** The bytes of `wrap` in suite 0002. */
function remoteWrap(wrappedDekLength: number): Uint8Array {
  return Uint8Array.of(0, 2, ...PARTS.wrap.slice(2, 42), ...counting(7, wrappedDekLength))
}

function faultOf(text: string): unknown {
  const parsed = parseEnvelope(text)
  return 'fault' in parsed ? parsed : null
}

describe('a KEK id', () => {
  it.each(['a', '0', 'v1', '2026-01', 'prod_eu-1', 'a'.repeat(32), 'file', 'a_file_b', '_file'.slice(1)])(
    'may be %s',
    (id) => {
      expect(isKekId(id)).toBe(true)
    },
  )

  it.each([
    '',
    'V1',
    'v1 ',
    ' v1',
    'v1\n',
    '-a',
    '_a',
    'a'.repeat(33),
    'a.b',
    'a:b',
    'é',
    'v1_file',
    '\u017f',
  ])('may not be %j', (id) => {
    expect(isKekId(id)).toBe(false)
  })

  it.each<[string, string | null]>([
    ['talos:v2:v1:AAAA', 'v1'],
    ['talos:v2:v1:', 'v1'],
    ['talos:v2:v1:anything at all:even this', 'v1'],
    ['talos:v2:v1', null],
    ['talos:v2::AAAA', null],
    ['talos:v2:V1:AAAA', null],
    ['talos:v2:v1_file:AAAA', null],
    ['talos:v3:v1:AAAA', null],
    [' talos:v2:v1:AAAA', null],
    ['', null],
  ])('is read from %j as %j', (wrap, id) => {
    expect(kekIdOfWrap(wrap)).toBe(id)
  })
})

describe('the text of an envelope', () => {
  it('is read into its two stored forms', () => {
    const parsed = parseEnvelope(KNOWN.envelope)
    if ('fault' in parsed) throw new Error(parsed.fault)
    expect(parsed.wrap).toBe(WRAP)
    expect(parsed.sealed).toEqual(PARTS.sealed)
    expect(parsed.fields).toMatchObject({ kekId: 'v1', suite: '0001', fingerprint: KNOWN.fingerprint })
    expect(serialiseWrap(parsed.fields)).toBe(WRAP)
    expect(parseWrap(WRAP, 43)).toEqual(parsed.fields)
  })

  it.each([
    ['an empty text', '', 'unsupported', null],
    ['another version', KNOWN.envelope.replace('v2', 'v3'), 'unsupported', null],
    ['another product', KNOWN.envelope.replace('talos', 'other'), 'unsupported', null],
    ['an upper-case prefix', KNOWN.envelope.replace('talos', 'TALOS'), 'unsupported', null],
    ['white space in front', ` ${KNOWN.envelope}`, 'unsupported', null],
    ['a newline behind', `${KNOWN.envelope}\n`, 'malformed', null],
    ['an illegal KEK id', joinParts({ ...PARTS, kekId: 'V1' }), 'malformed', null],
    ['a reserved KEK id', joinParts({ ...PARTS, kekId: 'v1_file' }), 'malformed', null],
    ['no sealed part', WRAP, 'malformed', null],
    ['nothing but the prefix', 'talos:v2:', 'malformed', null],
    ['a further part', `${KNOWN.envelope}:AAAA`, 'malformed', null],
    ['padding', `${KNOWN.envelope}=`, 'malformed', null],
    ['an empty wrap', joinParts({ ...PARTS, wrap: new Uint8Array() }), 'malformed', null],
    ['a wrap without room for the suite', joinParts({ ...PARTS, wrap: counting(0, 1) }), 'malformed', null],
    [
      'suite 0000',
      joinParts({ ...PARTS, wrap: Uint8Array.of(0, 0, ...PARTS.wrap.slice(2)) }),
      'unsupported',
      'v1',
    ],
    [
      'suite 0003',
      joinParts({ ...PARTS, wrap: Uint8Array.of(0, 3, ...PARTS.wrap.slice(2)) }),
      'unsupported',
      'v1',
    ],
    [
      'suite 0101',
      joinParts({ ...PARTS, wrap: Uint8Array.of(1, 1, ...PARTS.wrap.slice(2)) }),
      'unsupported',
      'v1',
    ],
    ['a wrap of 2 bytes', joinParts({ ...PARTS, wrap: Uint8Array.of(0, 1) }), 'malformed', 'v1'],
    ['a wrap one byte short', joinParts({ ...PARTS, wrap: PARTS.wrap.slice(0, 81) }), 'malformed', 'v1'],
    [
      'a wrap one byte long',
      joinParts({ ...PARTS, wrap: Uint8Array.of(...PARTS.wrap, 0) }),
      'malformed',
      'v1',
    ],
    ['a remote wrap of no DEK', joinParts({ ...PARTS, wrap: remoteWrap(0) }), 'malformed', 'v1'],
    ['a remote wrap of 1,025 bytes', joinParts({ ...PARTS, wrap: remoteWrap(1_025) }), 'malformed', 'v1'],
    ['an empty sealed part', `${WRAP}:`, 'malformed', 'v1'],
    ['a sealed part of 27 bytes', joinParts({ ...PARTS, sealed: counting(0, 27) }), 'malformed', 'v1'],
    ['a value above 1 MiB', joinParts({ ...PARTS, sealed: new Uint8Array(1_048_605) }), 'malformed', 'v1'],
  ])('is refused with %s', (_, text, fault, kekId) => {
    expect(faultOf(text)).toEqual({ fault, kekId })
  })

  it.each([1, 40, 184, 1_024])('may hold a DEK of %i bytes that a key provider wrapped', (length) => {
    const envelope = joinParts({ ...PARTS, kekId: 'a'.repeat(32), wrap: remoteWrap(length) })
    const parsed = parseEnvelope(envelope)
    if ('fault' in parsed) throw new Error(parsed.fault)
    expect(parsed.fields).toMatchObject({ suite: '0002', fingerprint: KNOWN.fingerprint })
    expect(parsed.fields.wrappedDek).toEqual(counting(7, length))
    expect(serialiseWrap(parsed.fields)).toBe(parsed.wrap)
    expect(parsed.wrap.length).toBeLessThanOrEqual(STORE_LIMITS.wrapCharacters)
    expect(peek(envelope)).toMatchObject({ suite: '0002', fingerprint: KNOWN.fingerprint })
  })

  it('may hold values of 0 bytes to 1 MiB', () => {
    expect(faultOf(joinParts({ ...PARTS, sealed: new Uint8Array(28) }))).toBeNull()
    expect(faultOf(joinParts({ ...PARTS, sealed: new Uint8Array(1_048_604) }))).toBeNull()
  })

  it('has at most 1.5 MiB, counted in bytes of UTF-8', () => {
    const limit = 1_572_864
    const tooLarge = { fault: 'too_large', kekId: null }
    const malformed = { fault: 'malformed', kekId: null }
    expect(faultOf(`talos:v2:${'='.repeat(limit - 9)}`)).toEqual(malformed)
    expect(faultOf(`talos:v2:${'='.repeat(limit - 8)}`)).toEqual(tooLarge)
    expect(faultOf(`talos:v2:${'é'.repeat((limit - 9) / 2)}`)).toEqual(malformed)
    expect(faultOf(`talos:v2:${'é'.repeat((limit - 7) / 2)}`)).toEqual(tooLarge)
  })

  it('is measured the same in its two stored forms', () => {
    expect(parseWrap(WRAP, 1_048_604)).toHaveProperty('kekId', 'v1')
    expect(parseWrap(WRAP, 1_048_605)).toEqual({ fault: 'malformed', kekId: 'v1' })
    expect(parseWrap(WRAP, 1_179_600)).toEqual({ fault: 'too_large', kekId: null })
    expect(parseWrap(WRAP, 27)).toEqual({ fault: 'malformed', kekId: 'v1' })
    expect(parseWrap(WRAP, null)).toHaveProperty('kekId', 'v1')
    expect(parseWrap(KNOWN.envelope, 43)).toEqual({ fault: 'malformed', kekId: null })
    expect(parseWrap('', 43)).toEqual({ fault: 'unsupported', kekId: null })
  })
})

describe('peek', () => {
  it.each([
    ['other text', 'hello', 'unsupported'],
    ['a broken envelope', `${KNOWN.envelope}=`, 'malformed'],
    ['an oversized text', 'A'.repeat(1_572_865), 'too_large'],
  ])('refuses %s with one constant message', (_, text, reason) => {
    let thrown: unknown
    try {
      peek(text)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(FormatError)
    expect(thrown).toMatchObject({
      code: 'ERR_ENVELOPE_MALFORMED',
      message: 'The text is not an envelope of a supported version.',
      reason,
      retryable: false,
    })
  })

  it.each([undefined, null, 1, Buffer.from(KNOWN.envelope), [KNOWN.envelope], new String(KNOWN.envelope)])(
    'takes text only',
    (other) => {
      expect(() => peek(other as string)).toThrow(TypeError)
    },
  )
})

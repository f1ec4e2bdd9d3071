import { describe, expect, it } from 'vitest'
import { sealWith } from '../../src/codec/wrap.ts'
import { encodeContext } from '../../src/format/context.ts'
import { joinEnvelope } from '../../src/format/envelope-v2.ts'
import { createCodec, DecryptError, type DecryptReason, explicitKeys } from '../../src/index.ts'
import { counting, flipBit, joinParts, KNOWN, type Parts, partsOf, V1, V2 } from '../sample.ts'

/** Every character of ASCII, and characters that share their low bits with some or look like them. */
const ALPHABET = [
  ...Array.from({ length: 128 }, (_, code) => String.fromCharCode(code)),
  ...[
    '\u0080',
    '\u00a0',
    '\u00ad',
    'é',
    '\u0141',
    '\u0161',
    '\u200b',
    '\u2028',
    'А',
    'ａ',
    '\ufeff',
    '\ufffd',
    '\ud800',
    '😀',
  ],
]

const REASONS: readonly DecryptReason[] = [
  'unsupported',
  'malformed',
  'kek_unknown',
  'kek_not_allowed',
  'kek_mismatch',
  'wrap_corrupt',
  'commitment_mismatch',
  'payload_corrupt',
]

const ENVELOPES = [
  [KNOWN.envelope, KNOWN.context],
  [sealed(V2, counting(0x11, 32), ''), { name: 'empty' }],
  [sealed(V1, counting(0x55, 32), 'p4ssw0rd é'), { name: 'text' }],
] as const

const keys = explicitKeys({ currentKekId: 'v1', keks: { v1: KNOWN.kekBytes, v2: counting(0x80, 32) } })
const codec = await createCodec({ keys })

function sealed(kek: typeof V1, dek: Uint8Array, value: string): string {
  const context = encodeContext({ name: value === '' ? 'empty' : 'text' })
  const envelope = sealWith(kek, dek, counting(0x33, 12), Buffer.from(value), context)
  return joinEnvelope(envelope.wrap, envelope.sealed)
}

function* splices<T>(
  whole: T,
  length: number,
  splice: (whole: T, start: number, end: number) => T[],
): Generator<T> {
  for (let position = 0; position <= length; position++) {
    yield* splice(whole, position, position)
    if (position < length) yield* splice(whole, position, position + 1)
  }
}

function* changedTexts(envelope: string): Generator<string> {
  yield* splices(envelope, envelope.length, (text, start, end) => {
    return ['', ...ALPHABET].map((character) => text.slice(0, start) + character + text.slice(end))
  })
  for (let length = 0; length < envelope.length; length++) {
    yield envelope.slice(0, length)
    yield envelope.slice(envelope.length - length)
  }
}

function* changedBytes(bytes: Uint8Array): Generator<Uint8Array> {
  for (let bit = 0; bit < bytes.length * 8; bit++) yield flipBit(bytes, bit)
  yield* splices(bytes, bytes.length, (whole, start, end) => {
    const inserted = start === end ? counting(0, 256) : []
    const spliced = [...inserted].map((byte) =>
      Uint8Array.of(...whole.slice(0, start), byte, ...whole.slice(end)),
    )
    return start === end ? spliced : [Uint8Array.of(...whole.slice(0, start), ...whole.slice(end))]
  })
  for (let length = 0; length < bytes.length; length++) yield bytes.slice(0, length)
}

function* changedParts(envelope: string): Generator<string> {
  const parts: Parts = partsOf(envelope)
  for (const wrap of changedBytes(parts.wrap)) yield joinParts({ ...parts, wrap })
  for (const bytes of changedBytes(parts.sealed)) yield joinParts({ ...parts, sealed: bytes })
}

describe('an altered envelope', () => {
  it('never opens: flipped bits, truncations, insertions, deletions and other characters', async () => {
    const counts = new Map<DecryptReason, number>()
    let tried = 0
    for (const [envelope, context] of ENVELOPES) {
      await expect(codec.unwrap(envelope, context)).resolves.toBeInstanceOf(Uint8Array)
      const altered = new Set([...changedTexts(envelope), ...changedParts(envelope)])
      altered.delete(envelope)
      for (const text of altered) {
        const outcome: unknown = await codec.unwrap(text, context).catch((error: unknown) => error)
        if (!(outcome instanceof DecryptError)) throw new Error(`Not refused: ${JSON.stringify(text)}`)
        if (outcome.message !== 'The envelope could not be opened.') throw new Error(outcome.message)
        counts.set(outcome.reason, (counts.get(outcome.reason) ?? 0) + 1)
        tried += 1
      }
    }
    const byReason = REASONS.map((reason) => `${reason} ${counts.get(reason) ?? 0}`).join(', ')
    console.log(`tampering: ${tried} altered envelopes, ${tried} refused (${byReason})`)
    expect([...counts.keys()].sort()).toEqual([...REASONS].sort())
    expect(tried).toBeGreaterThan(150_000)
  }, 30_000)

  it('never opens with parts of two envelopes', async () => {
    const [first, second] = [ENVELOPES[0], ENVELOPES[2]].map(([envelope]) => partsOf(envelope))
    if (first === undefined || second === undefined) throw new Error('Two envelopes are needed.')
    const mixed = [
      { ...first, sealed: second.sealed },
      { ...first, wrap: second.wrap },
      { ...first, wrap: Uint8Array.of(...first.wrap.slice(0, 42), ...second.wrap.slice(42)) },
      {
        ...first,
        wrap: Uint8Array.of(
          ...first.wrap.slice(0, 10),
          ...second.wrap.slice(10, 42),
          ...first.wrap.slice(42),
        ),
      },
      { ...first, kekId: 'v2' },
    ].map(joinParts)
    const outcomes = await Promise.all(
      mixed.map((text) => codec.unwrap(text, KNOWN.context).catch((error) => error)),
    )
    expect(outcomes.map(({ reason }: DecryptError) => reason)).toEqual([
      'payload_corrupt',
      'commitment_mismatch',
      'commitment_mismatch',
      'commitment_mismatch',
      'kek_mismatch',
    ])
  })
})

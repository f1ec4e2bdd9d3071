import { describe, expect, it } from 'vitest'
import { rewrapKey } from '../../src/codec/rewrap.ts'
import { type KekResolver, unwrapValue } from '../../src/codec/unwrap.ts'
import { encodeContext } from '../../src/format/context.ts'
import { createCodec, DecryptError, type DecryptReason, explicitKeys } from '../../src/index.ts'
import { flipBit, joinParts, KNOWN, type Parts, partsOf, V1 } from '../sample.ts'

interface Draft extends Parts {
  readonly junk: string
}

/** One fault for each check, in the order of the checks. Any of them can be combined. */
const FAULTS: readonly (readonly [check: string, DecryptReason, (draft: Draft) => Draft])[] = [
  ['size', 'too_large', (draft) => ({ ...draft, junk: `${draft.junk}${'A'.repeat(1_572_864)}` })],
  ['version', 'unsupported', (draft) => ({ ...draft, prefix: 'talos:v3:' })],
  ['canonical encoding', 'malformed', (draft) => ({ ...draft, junk: `=${draft.junk}` })],
  ['suite', 'unsupported', (draft) => ({ ...draft, wrap: flipBit(draft.wrap, 9) })],
  ['lengths', 'malformed', (draft) => ({ ...draft, wrap: Uint8Array.of(...draft.wrap, 0) })],
  ['KEK by id', 'kek_unknown', (draft) => ({ ...draft, kekId: 'unknown' })],
  [
    'KEK may open',
    'kek_not_allowed',
    (draft) => ({ ...draft, kekId: draft.kekId === 'v1' ? 'suspended' : draft.kekId }),
  ],
  ['fingerprint', 'kek_mismatch', (draft) => ({ ...draft, wrap: flipBit(draft.wrap, 16) })],
  ['AES-KW', 'wrap_corrupt', (draft) => ({ ...draft, wrap: flipBit(draft.wrap, 8 * 42) })],
  ['commitment', 'commitment_mismatch', (draft) => ({ ...draft, wrap: flipBit(draft.wrap, 8 * 10) })],
  ['GCM tag', 'payload_corrupt', (draft) => ({ ...draft, sealed: flipBit(draft.sealed, 8 * 42) })],
]

const resolve: KekResolver = (kekId) => (kekId === 'v1' ? V1 : kekId === 'suspended' ? 'not_allowed' : null)
const context = encodeContext(KNOWN.context)

function draftWith(faults: typeof FAULTS): Draft {
  return faults.reduce<Draft>((draft, [, , edit]) => edit(draft), { ...partsOf(KNOWN.envelope), junk: '' })
}

/** The wrap text as stores keep it. What is not canonical can only stand there, for sealed bytes are no text. */
function wrapTextOf(draft: Draft): string {
  return joinParts({ ...draft, sealed: new Uint8Array() }).slice(0, -1) + draft.junk
}

function refusalOf(draft: Draft): DecryptError {
  try {
    unwrapValue(resolve, wrapTextOf(draft), draft.sealed, context)
  } catch (error) {
    if (error instanceof DecryptError) return error
    throw error
  }
  throw new Error('The envelope opened.')
}

const codec = await createCodec({ keys: explicitKeys({ currentKekId: 'v1', keks: { v1: KNOWN.kekBytes } }) })

describe('the order of the checks', () => {
  it('names the first failure for every combination of faults', () => {
    let combinations = 0
    for (let set = 1; set < 2 ** FAULTS.length; set++) {
      const chosen = FAULTS.filter((_, index) => (set >> index) & 1)
      const names = chosen.map(([check]) => check).join(', ')
      expect([names, refusalOf(draftWith(chosen)).reason]).toEqual([names, chosen[0]?.[1]])
      combinations += 1
    }
    expect(combinations).toBe(2047)
  })

  it('refuses a KEK of another suite than the envelope', () => {
    const remote = { ...V1, suite: '0002' } as unknown as typeof V1
    const { wrap, sealed } = { wrap: wrapTextOf(draftWith([])), sealed: draftWith([]).sealed }
    const open = () => unwrapValue(() => remote, wrap, sealed, context)
    expect(open).toThrow(expect.objectContaining({ reason: 'kek_not_allowed' }))
  })

  it('is the same for the text in one piece', async () => {
    const joined = FAULTS.filter(([check]) => check !== 'KEK may open')
    for (let first = 0; first < joined.length; first++) {
      for (let second = first; second < joined.length; second++) {
        const draft = draftWith(joined.filter((_, index) => index === first || index === second))
        const outcome: unknown = await codec
          .unwrap(joinParts(draft) + draft.junk, KNOWN.context)
          .catch((error) => error)
        expect(outcome).toMatchObject({ reason: joined[first]?.[1] })
      }
    }
  })

  it('is the same for a rewrap, which ends with the commitment', () => {
    for (const [check, reason, edit] of FAULTS) {
      const draft = edit(draftWith([]))
      const wrap = wrapTextOf(draft)
      if (check === 'GCM tag') expect(rewrapKey(resolve, V1, wrap, context)).toBe(wrap)
      else expect(() => rewrapKey(resolve, V1, wrap, context)).toThrow(expect.objectContaining({ reason }))
    }
  })
})

describe('a refused envelope', () => {
  it.each(FAULTS)('has one public message after the check of %s', (_, reason, edit) => {
    const refusal = refusalOf(edit(draftWith([])))
    expect(refusal).toMatchObject({
      code: 'ERR_DECRYPT_FAILED',
      message: 'The envelope could not be opened.',
      reason,
      retryable: false,
    })
    expect(refusal.cause).toBeUndefined()
  })

  it('names the KEK id once the grammar has been checked, and never before', () => {
    const ids = FAULTS.map(([, , edit]) => refusalOf(edit(draftWith([]))).kekId)
    expect(ids).toEqual([null, null, null, 'v1', 'v1', 'unknown', 'suspended', 'v1', 'v1', 'v1', 'v1'])
  })

  it('reports another context and another record’s wrap alike', async () => {
    const other = await codec.wrap('other value', { name: 'other' })
    const swapped = [
      other.slice(0, other.lastIndexOf(':')),
      KNOWN.envelope.slice(KNOWN.envelope.lastIndexOf(':')),
    ]
    for (const [envelope, pairs] of [
      [KNOWN.envelope, { ...KNOWN.context, z: '2' }],
      [swapped.join(''), KNOWN.context],
    ] as const) {
      await expect(codec.unwrap(envelope, pairs)).rejects.toMatchObject({ reason: 'commitment_mismatch' })
    }
  })
})

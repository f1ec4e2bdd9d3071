import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCodec, DecryptError, type DecryptReason } from '../../src/index.ts'
import { counting, flipBit, joinParts, type Parts, partsOf } from '../sample.ts'
import { type Specimen, TWELVE, vectorKeys } from '../support/vectors.ts'

/** Every character of ASCII, and characters that share their low bits with some or look like them. */
const ALPHABET = [
  ...Array.from({ length: 128 }, (_, code) => String.fromCharCode(code)),
  ...['\u0080', '\u00a0', '\u00ad', 'é', '\u0141', '\u0161', '\u200b', '\u2028'],
  ...['А', 'ａ', '\ufeff', '\ufffd', '\ud800', '😀'],
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

const codec = await createCodec({ keys: vectorKeys() })

/** Characters that are put between others; every character of {@link ALPHABET} for the first envelope. */
const INSERTED = ['A', '_', '=', ':', ' ', '\n', '\0', 'é']
/** Bytes that are put between others; every byte for the first envelope. */
const INSERTED_BYTES = Uint8Array.of(0x00, 0x01, 0x80, 0xff)

function* changedTexts(envelope: string, inserted: readonly string[]): Generator<string> {
  for (let at = 0; at <= envelope.length; at++) {
    const [before, behind] = [envelope.slice(0, at), envelope.slice(at)]
    for (const character of inserted) yield before + character + behind
    yield before
    yield behind
    for (const character of ['', ...ALPHABET]) yield before + character + behind.slice(1)
  }
}

function* changedBytes(bytes: Uint8Array, inserted: Uint8Array): Generator<Uint8Array> {
  for (let bit = 0; bit < bytes.length * 8; bit++) yield flipBit(bytes, bit)
  for (let at = 0; at <= bytes.length; at++) {
    const [before, behind] = [bytes.slice(0, at), bytes.slice(at)]
    for (const byte of inserted) yield Uint8Array.of(...before, byte, ...behind)
    yield before
    yield behind
    yield Uint8Array.of(...before, ...behind.slice(1))
  }
}

/** Every alteration of one envelope, each once. */
function alterations(envelope: string, isFirst: boolean): ReadonlySet<string> {
  const parts = partsOf(envelope)
  const bytes = isFirst ? counting(0, 256) : INSERTED_BYTES
  const altered = new Set(changedTexts(envelope, isFirst ? ALPHABET : INSERTED))
  for (const wrap of changedBytes(parts.wrap, bytes)) altered.add(joinParts({ ...parts, wrap }))
  for (const sealed of changedBytes(parts.sealed, bytes)) altered.add(joinParts({ ...parts, sealed }))
  altered.delete(envelope)
  return altered
}

describe('an altered envelope', () => {
  const { stackTraceLimit } = Error
  beforeAll(() => {
    // Most of the time would go into stacks that nobody looks at.
    Error.stackTraceLimit = 0
  })
  afterAll(() => {
    Error.stackTraceLimit = stackTraceLimit
  })

  it('never opens: flipped bits, truncations, insertions, deletions and other characters', async () => {
    const counts = new Map<DecryptReason, number>()
    let tried = 0
    for (const [index, { envelope, context }] of TWELVE.entries()) {
      await expect(codec.unwrap(envelope, context)).resolves.toBeInstanceOf(Uint8Array)
      for (const text of alterations(envelope, index === 0)) {
        const outcome: unknown = await codec.unwrap(text, context).catch((error: unknown) => error)
        if (!(outcome instanceof DecryptError)) throw new Error(`Not refused: ${JSON.stringify(text)}`)
        if (outcome.message !== 'The envelope could not be opened.') throw new Error(outcome.message)
        counts.set(outcome.reason, (counts.get(outcome.reason) ?? 0) + 1)
        tried += 1
      }
    }
    const byReason = REASONS.map((reason) => `${reason} ${counts.get(reason) ?? 0}`).join(', ')
    console.log(
      `tampering: ${tried} altered envelopes of ${TWELVE.length}, 0 accepted, 0 errors outside of the catalogue ` +
        `(${byReason})`,
    )
    expect([...counts.keys()].sort()).toEqual([...REASONS].sort())
    expect(tried).toBeGreaterThan(250_000)
  }, 120_000)
})

/** What opening under a context answers. */
async function reasonOf(envelope: string, context: Readonly<Record<string, string>>): Promise<string> {
  const outcome: unknown = await codec.unwrap(envelope, context).catch((error: unknown) => error)
  return outcome instanceof DecryptError ? outcome.reason : 'opened'
}

describe('parts of two envelopes', () => {
  const pairs = TWELVE.flatMap((first) => {
    return TWELVE.filter((second) => second !== first).map((second) => [first, second] as const)
  })
  const haveOneDek = ([first, second]: (typeof pairs)[number]): boolean => wrapOf(first) === wrapOf(second)
  const wrapOf = ({ envelope }: Specimen): string => envelope.slice(0, envelope.lastIndexOf(':'))
  const swapped = (first: Specimen, second: Specimen): string => {
    return wrapOf(second) + first.envelope.slice(wrapOf(first).length)
  }

  it('never open with the wrap of another one', async () => {
    const counts: Record<string, number> = {}
    for (const [first, second] of pairs.filter((pair) => !haveOneDek(pair))) {
      const sameContext = JSON.stringify(first.context) === JSON.stringify(second.context)
      const text = swapped(first, second)
      // Under the context of the wrap the commitment holds, and the tag finds that the payload is another one's.
      expect(await reasonOf(text, second.context)).toBe('payload_corrupt')
      const reason = await reasonOf(text, first.context)
      expect(reason).toBe(sameContext ? 'payload_corrupt' : 'commitment_mismatch')
      counts[reason] = (counts[reason] ?? 0) + 1
    }
    const tried = Object.values(counts).reduce((sum, count) => sum + count, 0)
    console.log(`swapped wraps: ${tried} pairs, 0 accepted (${JSON.stringify(counts)})`)
    expect(tried).toBeGreaterThan(100)
  })

  it('never open with the commitment, the wrapped DEK or the KEK id of another one', async () => {
    for (const pair of pairs.filter((each) => !haveOneDek(each))) {
      const [first, second] = pair.map(({ envelope }) => partsOf(envelope)) as [Parts, Parts]
      const { context } = pair[0]
      const part = (start: number, end: number): Uint8Array => {
        return Uint8Array.of(
          ...first.wrap.slice(0, start),
          ...second.wrap.slice(start, end),
          ...first.wrap.slice(end),
        )
      }
      expect(await reasonOf(joinParts({ ...first, wrap: part(10, 42) }), context)).toBe('commitment_mismatch')
      const sameKek = first.kekId === second.kekId
      const withDek = await reasonOf(joinParts({ ...first, wrap: part(42, 82) }), context)
      expect(withDek).toBe(sameKek ? 'commitment_mismatch' : 'wrap_corrupt')
      if (!sameKek) {
        expect(await reasonOf(joinParts({ ...first, kekId: second.kekId }), context)).toBe('kek_mismatch')
      }
    }
  })
})

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { rewrapKeys } from '../../src/codec/rewrap.ts'
import { type KekResolver, unwrapValue } from '../../src/codec/unwrap.ts'
import { sealWith } from '../../src/codec/wrap.ts'
import { type EncodedContext, encodeContext } from '../../src/format/context.ts'
import { joinEnvelope, parseEnvelope, parseWrap } from '../../src/format/envelope-v2.ts'
import { createCodec, DecryptError } from '../../src/index.ts'
import { createKek, type Kek, type LocalKek, unwrapKey } from '../../src/keyring/kek.ts'
import { createRemoteKek } from '../../src/keyring/remote-kek.ts'
import { vectorKeks } from '../../src/testing/vector-file.ts'
import { runVectors, type VectorAnswer, type VectorKek, type VectorSubject } from '../../src/testing.ts'
import { bytesOfKek, VECTORS as file, specimen, tableProvider, vectorKeys } from '../support/vectors.ts'
import { makeV2 } from './v2/make-v2.ts'
import { read, rewrap } from './v2/reference.ts'

/**
 * A released vector is never changed, and neither is this hash because of one: what breaks a vector is another version
 * of the format. The hash changes when vectors are added.
 */
const SHA256 = '71fc0021cc1b61b00e5628355a3a41e4a0e0526d6f208e6bffa40fdf45eb9f30'

const url = new URL('../../vectors/v2.json', import.meta.url)
const contents = readFileSync(url, 'utf8')
/** Without what needs a KEK that is loaded and may not open: a codec has none. */
const withoutHeld = {
  ...file,
  refuse: file.refuse.filter((vector) => !JSON.stringify(vector).includes('held')),
  precedence: file.precedence.filter((vector) => !JSON.stringify(vector).includes('held')),
}

const KEKS: ReadonlyMap<string, Kek> = new Map(
  vectorKeks(file).map((kek) => {
    const { id } = kek
    return [
      id,
      kek.suite === '0001' ? createKek(id, bytesOfKek(kek)) : createRemoteKek(id, tableProvider(kek)),
    ]
  }),
)

async function answer<T>(work: () => T | Promise<T>): Promise<VectorAnswer<T>> {
  try {
    return { value: await work() }
  } catch (error) {
    if (error instanceof DecryptError) return { refused: error.reason }
    if (error instanceof TypeError) return { refused: 'misuse' }
    throw error
  }
}

/** The public API, which takes the text in one piece. */
async function codecSubject(keks: readonly VectorKek[]): Promise<VectorSubject> {
  const made = keks.map(async ({ id }) => [id, await createCodec({ keys: vectorKeys(id) })] as const)
  const codecs = new Map(await Promise.all(made))
  const under = (kekId: string) => codecs.get(kekId) ?? expect.unreachable(kekId)
  return {
    open: (envelope, context) => answer(() => under('v1').unwrap(envelope, context)),
    rewrap: (envelope, context, kekId) => answer(() => under(kekId).rewrap(envelope, context)),
  }
}

/** What vaults and stores go through. Text that is no base64url cannot stand in a field of bytes: it is only read. */
function fieldsSubject(keks: readonly VectorKek[]): VectorSubject {
  const held = new Set(keks.filter(({ mayOpen }) => mayOpen === false).map(({ id }) => id))
  const resolve: KekResolver<Kek> = (kekId) => (held.has(kekId) ? 'not_allowed' : (KEKS.get(kekId) ?? null))
  const inFields = <T>(
    envelope: string,
    pairs: Readonly<Record<string, string>>,
    work: (wrap: string, sealed: Uint8Array, context: EncodedContext) => T | Promise<T>,
  ): Promise<VectorAnswer<T>> => {
    return answer(() => {
      const context = encodeContext(pairs)
      const wrap = envelope.slice(0, Math.max(envelope.lastIndexOf(':'), 0))
      const sealed = new Uint8Array(Buffer.from(envelope.slice(wrap.length + 1), 'base64url'))
      // The last colon may be one of the prefix, which belongs to the wrap text.
      if (wrap.length > 8 && joinEnvelope(wrap, sealed) === envelope) return work(wrap, sealed, context)
      const parsed = parseEnvelope(envelope)
      if ('fault' in parsed) throw new DecryptError(parsed.fault)
      throw new Error('A text that two fields cannot hold was taken.')
    })
  }
  return {
    open: (envelope, pairs) => {
      return inFields(envelope, pairs, (wrap, sealed, context) => unwrapValue(resolve, wrap, sealed, context))
    },
    rewrap: (envelope, pairs, kekId) => {
      return inFields(envelope, pairs, async (wrap, sealed, context) => {
        const fields = parseWrap(wrap, sealed.length)
        if ('fault' in fields) throw new DecryptError(fields.fault)
        const [moved] = await rewrapKeys(resolve, KEKS.get(kekId) as Kek, [{ wrap, context }])
        if (typeof moved !== 'string') throw moved
        return joinEnvelope(moved, sealed)
      })
    },
  }
}

function referenceSubject(keks: readonly VectorKek[]): VectorSubject {
  return {
    open: (envelope, context) => read(keks, envelope, Object.entries(context)),
    rewrap: (envelope, context, kekId) => rewrap(keks, envelope, Object.entries(context), kekId),
  }
}

describe('the file of vectors', () => {
  it('is the one that was released, byte for byte', () => {
    expect(createHash('sha256').update(contents).digest('hex')).toBe(SHA256)
  })

  it('is what a program makes that knows nothing but the specification', () => {
    expect(makeV2()).toBe(contents)
  })

  it('is plain ASCII, so that nothing normalises it', () => {
    expect(/^[\n\x20-\x7e]*$/.test(contents)).toBe(true)
  })
})

describe('the vectors', () => {
  it('get their answers from the codec', async () => {
    const report = await runVectors(withoutHeld, codecSubject)
    expect(report.differences).toEqual([])
  })

  it('get their answers from the two stored fields', async () => {
    const report = await runVectors(file, fieldsSubject)
    expect(report.differences).toEqual([])
    const { opened, refused, precedence, misuse, rewrapped, reasons } = report
    const byReason = Object.entries(reasons).map(([reason, count]) => `${reason} ${count}`)
    console.log(
      `vectors v2: ${opened} open, ${refused} refused (${byReason.join(', ')}), ${precedence} with several faults, ` +
        `${misuse} misuse, ${rewrapped} rewrapped, 0 differences`,
    )
    expect(opened).toBeGreaterThanOrEqual(60)
    expect(refused).toBeGreaterThanOrEqual(400)
  })

  it('get their answers from the program that made them', async () => {
    expect((await runVectors(file, referenceSubject)).differences).toEqual([])
  })

  it('are written byte for byte, given DEK, nonce and value of each', () => {
    const local = file.open
      .map(({ id }) => specimen(id))
      .filter(({ envelope }) => !envelope.includes(':kms:'))
    for (const { id, envelope, context } of local) {
      const parsed = parseEnvelope(envelope)
      if ('fault' in parsed) throw new Error(parsed.fault)
      const { fields, sealed, wrap } = parsed
      const kek = KEKS.get(fields.kekId) as LocalKek
      const dek = unwrapKey(kek, fields.wrappedDek) as Uint8Array
      const encoded = encodeContext(context)
      const value = unwrapValue(() => kek, wrap, sealed, encoded)
      const again = sealWith(kek, dek, sealed.slice(0, 12), value, encoded)
      expect([id, joinEnvelope(again.wrap, again.sealed) === envelope]).toEqual([id, true])
    }
    expect(local.length).toBe(file.open.length - 3)
  })
})

describe('the runner of vectors', () => {
  const right = referenceSubject(vectorKeks(file))

  async function differencesOf(wrong: Partial<VectorSubject>): Promise<readonly string[]> {
    return (await runVectors(file, () => ({ ...right, ...wrong }))).differences
  }

  it.each<readonly [string, Partial<VectorSubject>, RegExp]>([
    [
      'opens to another value',
      { open: () => ({ value: Uint8Array.of(1) }) },
      /^open known: must open to its value, gave/,
    ],
    [
      'refuses everything',
      { open: () => ({ refused: 'malformed' }) },
      /^open known: must open to its .* as malformed$/,
    ],
    [
      'refuses nothing',
      { open: () => ({ value: Uint8Array.of() }) },
      /must be refused as too_large, gave a result$/,
    ],
    [
      'moves nothing',
      { rewrap: () => ({ refused: 'wrap_corrupt' }) },
      /^rewrap known to v2: must give its text, was ref/,
    ],
    [
      'moves everything',
      { rewrap: (envelope) => ({ value: envelope }) },
      /^misuse 0: must not move because of misuse/,
    ],
    [
      'changes what it moves',
      { rewrap: () => ({ value: '' }) },
      /^rewrap known to v2: must give its text, gave a result$/,
    ],
    [
      'verifies what it moves',
      { rewrap: right.open as never },
      /must move and keep its sealed part, was refused as pay/,
    ],
  ])('notices an implementation that %s', async (_, wrong, difference) => {
    expect(await differencesOf(wrong)).toContainEqual(expect.stringMatching(difference))
  })

  it('notices one wrong answer among all', async () => {
    const open: VectorSubject['open'] = async (envelope, context) => {
      const given = await right.open(envelope, context)
      return 'refused' in given && given.refused === 'kek_not_allowed' ? { refused: 'kek_unknown' } : given
    }
    const expected = 'must be refused as kek_not_allowed, was refused as kek_unknown'
    const differences = await differencesOf({ open })
    expect(differences.length).toBeGreaterThan(0)
    for (const difference of differences) expect(difference).toContain(expected)
  })
})

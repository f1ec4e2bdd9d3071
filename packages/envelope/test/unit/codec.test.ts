import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { rewrapKey, rewrapKeys } from '../../src/codec/rewrap.ts'
import { wrapValue } from '../../src/codec/wrap.ts'
import { encodeContext } from '../../src/format/context.ts'
import {
  type Codec,
  createCodec,
  DecryptError,
  explicitKeys,
  FormatError,
  isEnvelopeError,
  type KeySource,
} from '../../src/index.ts'
import { createKeyring } from '../../src/keyring/keyring.ts'
import { counting, freshWrap, KNOWN, resolve, text, V1, V2 } from '../sample.ts'

const KEKS = { v1: KNOWN.kekBytes, v2: counting(0x80, 32) }
const CONTEXT = { namespace: 'gateway', name: 'openai/prod' }

function codecUnder(currentKekId: 'v1' | 'v2', maxValueBytes?: number): Promise<Codec> {
  const keys = explicitKeys({ currentKekId, keks: KEKS })
  return createCodec({ keys, ...(maxValueBytes === undefined ? {} : { maxValueBytes }) })
}

const codec = await codecUnder('v1')
const codecOfV2 = await codecUnder('v2')

describe('wrap and unwrap', () => {
  it.each([
    ['an empty value', ''],
    ['text of every plane', 'sk-é€😀\u0000'],
    ['64 KiB', 'x'.repeat(65_536)],
  ])('give back %s', async (_, value) => {
    expect(text(await codec.unwrap(await codec.wrap(value, CONTEXT), CONTEXT))).toBe(value)
  })

  it('give back bytes, as a plain Uint8Array in memory of its own', async () => {
    const value = counting(200, 100)
    const opened = await codec.unwrap(await codec.wrap(value, CONTEXT), CONTEXT)
    expect(opened).toEqual(value)
    expect(Object.getPrototypeOf(opened)).toBe(Uint8Array.prototype)
    expect(opened.buffer.byteLength).toBe(100)
  })

  it('never make the same envelope twice', async () => {
    const [left, right] = [await codec.wrap('same', CONTEXT), await codec.wrap('same', CONTEXT)]
    const parts = [left, right].map((envelope) => envelope.split(':'))
    expect(parts[0]?.[3]).not.toBe(parts[1]?.[3])
    expect(parts[0]?.[4]).not.toBe(parts[1]?.[4])
  })

  it('refuse values over the limit, counted in bytes of UTF-8', async () => {
    const small = await codecUnder('v1', 4)
    await expect(small.wrap('éé', CONTEXT)).resolves.toMatch(/^talos:v2:v1:/)
    for (const value of ['ééx', counting(0, 5), 'x'.repeat(5)]) {
      const outcome: unknown = await small.wrap(value, CONTEXT).catch((error: unknown) => error)
      expect(outcome).toBeInstanceOf(FormatError)
      expect(outcome).toMatchObject({ code: 'ERR_VALUE_TOO_LARGE', reason: null })
    }
    await expect(codec.wrap(new Uint8Array(65_537), CONTEXT)).rejects.toHaveProperty(
      'code',
      'ERR_VALUE_TOO_LARGE',
    )
    expect(() => wrapValue(V1, new Uint8Array(1_048_577), encodeContext(CONTEXT))).toThrow(FormatError)
  })

  it('open what was wrapped under a higher limit', async () => {
    const envelope = await (await codecUnder('v1', 1_048_576)).wrap(new Uint8Array(1_048_576), CONTEXT)
    expect(await (await codecUnder('v1', 1)).unwrap(envelope, CONTEXT)).toHaveLength(1_048_576)
  })

  it.each([0, -1, 1.5, 1_048_577, Number.NaN, '10'])('take no limit of %j', async (limit) => {
    await expect(codecUnder('v1', limit as number)).rejects.toThrow(TypeError)
  })

  it('take text and byte arrays only, and well-formed text', async () => {
    for (const value of [undefined, null, 1, [1], new ArrayBuffer(4), { length: 4 }, 'a\ud800']) {
      await expect(codec.wrap(value as string, CONTEXT)).rejects.toThrow(TypeError)
    }
  })

  it('report misuse as TypeError before anything is opened', async () => {
    await expect(codec.unwrap(Buffer.from(KNOWN.envelope) as never, CONTEXT)).rejects.toThrow(TypeError)
    await expect(codec.unwrap('hello', {})).rejects.toThrow(TypeError)
    await expect(codec.wrap('value', {})).rejects.toThrow(TypeError)
    await expect(codec.rewrap(1 as never, CONTEXT)).rejects.toThrow(TypeError)
    await expect(codec.rewrapMany([{ envelope: 'hello', context: {} }])).rejects.toThrow(TypeError)
    expect(() => codec.peek(undefined as never)).toThrow(TypeError)
  })
})

describe('a codec', () => {
  it('prints nothing of its keys', () => {
    const printed = [inspect(codec, { showHidden: true, depth: 9 }), JSON.stringify(codec), `${codec}`].join()
    for (const bytes of Object.values(KEKS)) {
      expect(printed).not.toContain(Buffer.from(bytes).toString('hex'))
      expect(printed).not.toContain(Buffer.from(bytes).toString('base64url'))
    }
    expect(Object.keys(codec)).toEqual([])
  })

  it('peeks as the function of its own does', () => {
    expect(codec.peek(KNOWN.envelope)).toMatchObject({ kekId: 'v1', sealedBytes: 43 })
  })

  it.each([
    ['lacks its current KEK', createKeyring([V2], 'v1', []), 'ERR_KEK_NOT_LOADED'],
    ['marks its current KEK decrypt-only', createKeyring([V1], 'v1', ['v1']), 'ERR_KEK_NOT_ALLOWED'],
  ])('is not made of a keyring that %s', async (_, keyring, code) => {
    const keys: KeySource = { load: () => Promise.resolve(keyring) }
    await expect(createCodec({ keys })).rejects.toMatchObject({ code, kekId: 'v1' })
  })
})

describe('rewrap', () => {
  it('changes the wrap and leaves the sealed part alone', async () => {
    const envelope = await codec.wrap('value', CONTEXT)
    const moved = await codecOfV2.rewrap(envelope, CONTEXT)
    expect(moved).toMatch(/^talos:v2:v2:/)
    expect(moved.split(':')[4]).toBe(envelope.split(':')[4])
    expect(text(await codec.unwrap(moved, CONTEXT))).toBe('value')
  })

  it('returns an equal text when the envelope is under the KEK already, and the first one on the way back', async () => {
    const envelope = await codec.wrap('value', CONTEXT)
    expect(await codec.rewrap(envelope, CONTEXT)).toBe(envelope)
    expect(await codec.rewrap(await codecOfV2.rewrap(envelope, CONTEXT), CONTEXT)).toBe(envelope)
  })

  it('verifies the commitment and never the payload', async () => {
    const envelope = await codec.wrap('value', CONTEXT)
    await expect(codecOfV2.rewrap(envelope, { ...CONTEXT, more: '' })).rejects.toMatchObject({
      reason: 'commitment_mismatch',
    })
    const damaged = `${envelope.slice(0, -4)}AAAA`
    const moved = await codecOfV2.rewrap(damaged, CONTEXT)
    await expect(codec.unwrap(moved, CONTEXT)).rejects.toMatchObject({ reason: 'payload_corrupt' })
  })

  it('answers many envelopes one by one, in order', async () => {
    const good = await codec.wrap('value', CONTEXT)
    const items = [
      { envelope: good, context: CONTEXT },
      { envelope: 'hello', context: CONTEXT },
      { envelope: good, context: { name: 'other' } },
      { envelope: good.replace(':v1:', ':v9:'), context: CONTEXT },
      { envelope: await codecOfV2.wrap('value', CONTEXT), context: CONTEXT },
    ]
    const results = await codecOfV2.rewrapMany(items)
    const reasons = results.map((result) =>
      'error' in result && 'reason' in result.error ? result.error.reason : null,
    )
    expect(reasons).toEqual([null, 'unsupported', 'commitment_mismatch', 'kek_unknown', null])
    expect(results[0]).toEqual({ envelope: await codecOfV2.rewrap(good, CONTEXT) })
    expect(results[4]).toEqual({ envelope: items[4]?.envelope })
    expect(await codecOfV2.rewrapMany([])).toEqual([])
    for (const result of results) {
      if ('error' in result)
        expect(isEnvelopeError(result.error) && result.error instanceof DecryptError).toBe(true)
    }
  })
})

describe('the internal rewrap of wrap texts', () => {
  it('gives in batches of mixed KEKs and faults what it gives one by one', () => {
    const items = Array.from({ length: 60 }, (_, index) => {
      const pairs = { name: `secret ${index}` }
      const wrap = freshWrap(index % 2 === 0 ? V1 : V2, pairs)
      const faulty = [
        wrap.replace(/^talos:v2:v[12]:/, 'talos:v2:v9:'),
        `${wrap}AAAA`,
        `${wrap.slice(0, -4)}AAAA`,
      ][index % 10]
      const context = encodeContext(index % 10 === 5 ? { name: 'other' } : pairs)
      return { wrap: faulty ?? wrap, context }
    })
    const single = items.map(({ wrap, context }) => {
      try {
        return rewrapKey(resolve, V2, wrap, context)
      } catch (error) {
        return (error as DecryptError).reason
      }
    })
    const batch = rewrapKeys(resolve, V2, items)
    expect(batch.map((outcome) => (typeof outcome === 'string' ? outcome : outcome.reason))).toEqual(single)
    expect(single.filter((outcome) => outcome.startsWith('talos:v2:v2:'))).toHaveLength(36)
    expect(new Set(single.filter((outcome) => !outcome.startsWith('talos')))).toEqual(
      new Set(['kek_unknown', 'malformed', 'wrap_corrupt', 'commitment_mismatch']),
    )
  })
})

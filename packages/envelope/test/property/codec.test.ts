import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { rewrapKey, rewrapKeys } from '../../src/codec/rewrap.ts'
import { unwrapValue } from '../../src/codec/unwrap.ts'
import { wrapValue } from '../../src/codec/wrap.ts'
import { encodeContext } from '../../src/format/context.ts'
import { createCodec, type DecryptError, environmentKeys, explicitKeys } from '../../src/index.ts'
import { createKek, type LocalKek } from '../../src/keyring/kek.ts'
import { V1, V2 } from '../sample.ts'
import { contexts, keks, legalKekIds, values } from './arbitraries.ts'

function resolverOf(...known: readonly LocalKek[]): (kekId: string) => LocalKek | null {
  return (kekId) => known.find((kek) => kek.id === kekId) ?? null
}

function canonical(pairs: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(pairs).sort())
}

describe('wrap and unwrap', () => {
  it('give back every value under every KEK and context', async () => {
    await fc.assert(
      fc.asyncProperty(legalKekIds, keks, values, contexts, async (kekId, bytes, value, context) => {
        const codec = await createCodec({
          keys: explicitKeys({ currentKekId: kekId, keks: { [kekId]: bytes } }),
        })
        const envelope = await codec.wrap(value, context)
        expect(await codec.unwrap(envelope, context)).toEqual(value)
        expect(codec.peek(envelope)).toMatchObject({ kekId, sealedBytes: value.length + 28 })
      }),
      { numRuns: 300 },
    )
  })

  it('give back every value whatever the order of the pairs', () => {
    fc.assert(
      fc.property(values, contexts, (value, context) => {
        const { wrap, sealed } = wrapValue(V1, value, encodeContext(context))
        const reversed = Object.fromEntries(Object.entries(context).reverse())
        expect(unwrapValue(resolverOf(V1), wrap, sealed, encodeContext(reversed))).toEqual(value)
      }),
    )
  })

  it('never open under another context', () => {
    fc.assert(
      fc.property(values, contexts, contexts, (value, context, other) => {
        fc.pre(canonical(context) !== canonical(other))
        const { wrap, sealed } = wrapValue(V1, value, encodeContext(context))
        const open = () => unwrapValue(resolverOf(V1), wrap, sealed, encodeContext(other))
        expect(open).toThrow(expect.objectContaining({ reason: 'commitment_mismatch' }))
      }),
      { numRuns: 300 },
    )
  })

  it('never open under other bytes of the KEK', () => {
    fc.assert(
      fc.property(keks, keks, values, contexts, (bytes, other, value, context) => {
        fc.pre(Buffer.compare(bytes, other) !== 0)
        const encoded = encodeContext(context)
        const { wrap, sealed } = wrapValue(createKek('v1', bytes), value, encoded)
        const open = () => unwrapValue(resolverOf(createKek('v1', other)), wrap, sealed, encoded)
        expect(open).toThrow(expect.objectContaining({ reason: 'kek_mismatch' }))
      }),
    )
  })
})

describe('rewrap', () => {
  it('keeps the sealed bytes, the value and the way back', () => {
    fc.assert(
      fc.property(values, contexts, (value, pairs) => {
        const context = encodeContext(pairs)
        const resolve = resolverOf(V1, V2)
        const { wrap, sealed } = wrapValue(V1, value, context)
        const moved = rewrapKey(resolve, V2, wrap, context)
        expect(moved.startsWith('talos:v2:v2:')).toBe(true)
        expect(unwrapValue(resolverOf(V2), moved, sealed, context)).toEqual(value)
        expect(rewrapKey(resolve, V1, moved, context)).toBe(wrap)
      }),
      { numRuns: 300 },
    )
  })

  it('gives the same in a batch of any size and mixture as one by one', () => {
    const item = fc.record({
      kek: fc.constantFrom(V1, V2),
      damage: fc.constantFrom('none', 'none', 'id', 'wrapped DEK', 'context'),
    })
    fc.assert(
      fc.property(fc.array(item, { maxLength: 50 }), (drafts) => {
        const items = drafts.map(({ kek, damage }, index) => {
          const pairs = { name: String(index) }
          const { wrap } = wrapValue(kek, Uint8Array.of(index), encodeContext(pairs))
          const damaged =
            damage === 'id'
              ? wrap.replace(`v2:${kek.id}:`, 'v2:gone:')
              : damage === 'wrapped DEK'
                ? `${wrap.slice(0, -8)}AAAAAAAA`
                : wrap
          return { wrap: damaged, context: encodeContext(damage === 'context' ? { name: 'other' } : pairs) }
        })
        const resolve = resolverOf(V1, V2)
        const single = items.map(({ wrap, context }) => {
          try {
            return rewrapKey(resolve, V2, wrap, context)
          } catch (error) {
            return (error as DecryptError).reason
          }
        })
        const batch = rewrapKeys(resolve, V2, items)
        expect(batch.map((outcome) => (typeof outcome === 'string' ? outcome : outcome.reason))).toEqual(
          single,
        )
      }),
      { numRuns: 60 },
    )
  })
})

describe('a key source', () => {
  it('takes every fit KEK from the environment and from bytes alike', async () => {
    await fc.assert(
      fc.asyncProperty(legalKekIds, keks, async (kekId, bytes) => {
        const environment = {
          [`TALOS_KEK_${kekId}`]: Buffer.from(bytes).toString('base64url'),
          TALOS_CURRENT_KEK_ID: kekId,
        }
        const keyrings = await Promise.all([
          environmentKeys({ environment }).load(),
          explicitKeys({ currentKekId: kekId, keks: { [kekId]: bytes } }).load(),
        ])
        expect(keyrings[0].get(kekId)?.fingerprint).toBe(keyrings[1].get(kekId)?.fingerprint)
        expect(String(keyrings[0])).toBe(String(keyrings[1]))
      }),
    )
  })

  it('answers any environment with a keyring or with faults', async () => {
    const names = fc.oneof(
      fc.constantFrom('TALOS_CURRENT_KEK_ID', 'TALOS_DECRYPT_ONLY_KEK_IDS', 'TALOS_KEK_v1', 'TALOS_KEK_v2'),
      fc.string({ unit: 'binary', maxLength: 40 }).map((rest) => `TALOS_KEK_${rest}`),
    )
    const contents = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 50 }),
      fc.constantFrom('v1', 'v2', 'v1,v2'),
      keks.map((bytes) => Buffer.from(bytes).toString('base64url')),
    )
    await fc.assert(
      fc.asyncProperty(fc.dictionary(names, contents, { maxKeys: 6 }), async (environment) => {
        const source = environmentKeys({ environment })
        const outcome: unknown = await source.load().catch((error: unknown) => error)
        if (outcome instanceof Error) expect(outcome).toMatchObject({ code: 'ERR_KEY_CONFIGURATION' })
        else expect(outcome).toHaveProperty('ids')
      }),
      { numRuns: 300 },
    )
  })
})

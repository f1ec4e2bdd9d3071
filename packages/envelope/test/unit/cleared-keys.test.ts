import { beforeEach, describe, expect, it, vi } from 'vitest'
import { rewrapKeys } from '../../src/codec/rewrap.ts'
import { unwrapValue } from '../../src/codec/unwrap.ts'
import { wrapValue } from '../../src/codec/wrap.ts'
import { encodeContext } from '../../src/format/context.ts'
import { passesSelfTest } from '../../src/keyring/kek.ts'
import { flipBit, resolve, V1, V2 } from '../sample.ts'

/** The real functions, with a note of every buffer that held a DEK or a payload's key. */
const secrets = vi.hoisted((): Uint8Array[] => [])

function noted<T extends Uint8Array | null>(bytes: T): T {
  if (bytes !== null) {
    expect(bytes.some((byte) => byte !== 0)).toBe(true)
    secrets.push(bytes)
  }
  return bytes
}

vi.mock('../../src/crypto/random.ts', async (original) => {
  const real = await original<typeof import('../../src/crypto/random.ts')>()
  const drawValueRandomness = () => {
    const drawn = real.drawValueRandomness()
    noted(drawn.dek)
    return drawn
  }
  return { ...real, drawValueRandomness, drawKey: () => noted(real.drawKey()) }
})

vi.mock('../../src/crypto/key-wrap.ts', async (original) => {
  const real = await original<typeof import('../../src/crypto/key-wrap.ts')>()
  const unwrapKeyBytes: typeof real.unwrapKeyBytes = (kek, wrapped) =>
    noted(real.unwrapKeyBytes(kek, wrapped))
  return { ...real, unwrapKeyBytes }
})

vi.mock('../../src/crypto/key-wrap-batch.ts', async (original) => {
  const real = await original<typeof import('../../src/crypto/key-wrap-batch.ts')>()
  const unwrapKeyBatch: typeof real.unwrapKeyBatch = (kek, wrapped) =>
    real.unwrapKeyBatch(kek, wrapped).map(noted)
  return { ...real, unwrapKeyBatch }
})

vi.mock('../../src/crypto/derive.ts', async (original) => {
  const real = await original<typeof import('../../src/crypto/derive.ts')>()
  const deriveKeys: typeof real.deriveKeys = (dek, info) => {
    const derived = real.deriveKeys(dek, info)
    noted(derived.encKey)
    return derived
  }
  return { ...real, deriveKeys }
})

const context = encodeContext({ name: 'a' })
const other = encodeContext({ name: 'b' })
const value = Uint8Array.of(1, 2, 3)

function expectCleared(): void {
  expect(secrets.length).toBeGreaterThan(0)
  expect(secrets.map((bytes) => bytes.every((byte) => byte === 0))).toEqual(secrets.map(() => true))
}

describe('DEKs and payload keys are zero in memory', () => {
  beforeEach(() => {
    secrets.length = 0
  })

  it('after a value was wrapped', () => {
    wrapValue(V1, value, context)
    expectCleared()
  })

  it('after a value was opened, or refused by any check that needs a key', () => {
    const { wrap, sealed } = wrapValue(V1, value, context)
    expect(unwrapValue(resolve, wrap, sealed, context)).toEqual(value)
    expect(() => unwrapValue(resolve, wrap, sealed, other)).toThrow()
    expect(() => unwrapValue(resolve, wrap, flipBit(sealed, 100), context)).toThrow()
    expectCleared()
  })

  it.each([1, 40])('after %i of them were moved under another KEK or refused', (count) => {
    const items = Array.from({ length: count }, () => ({ wrap: wrapValue(V1, value, context).wrap, context }))
    rewrapKeys(resolve, V2, items)
    rewrapKeys(
      resolve,
      V2,
      items.map(({ wrap }) => ({ wrap, context: other })),
    )
    expectCleared()
  })

  it('after the self-test of a KEK', () => {
    expect(passesSelfTest(V1)).toBe(true)
    expectCleared()
  })
})

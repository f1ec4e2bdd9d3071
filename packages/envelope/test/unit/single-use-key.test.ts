import { KeyObject } from 'node:crypto'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { CANARY_DEK } from '../../../../test/canaries.ts'
import { counting } from '../sample.ts'

/** Lets time pass in the calls that make a key of one form, and gives the module anew: it measures once. */
async function onNodeWhere(slow: 'bytes' | 'objects') {
  let now = 0
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  vi.resetModules()
  vi.doMock('node:crypto', async (original) => {
    const real = await original<typeof import('node:crypto')>()
    const createCipheriv = (...parameters: Parameters<typeof real.createCipheriv>) => {
      const isObject = parameters[1] instanceof KeyObject
      now += isObject === (slow === 'objects') ? 5 : 1
      return real.createCipheriv(...parameters)
    }
    return { ...real, createCipheriv }
  })
  const { singleUseKey } = await import('../../src/crypto/single-use-key.ts')
  const { open, seal } = await import('../../src/crypto/aead.ts')
  return { singleUseKey, open, seal }
}

beforeEach(() => {
  vi.resetModules()
})

afterEach(() => {
  vi.restoreAllMocks()
  vi.doUnmock('node:crypto')
})

it('is a KeyObject where bytes are slow', async () => {
  const { singleUseKey } = await onNodeWhere('bytes')
  expect(singleUseKey(CANARY_DEK)).toBeInstanceOf(KeyObject)
})

it('is the bytes themselves where a KeyObject costs more', async () => {
  const { singleUseKey } = await onNodeWhere('objects')
  expect(singleUseKey(CANARY_DEK)).toBe(CANARY_DEK)
})

it('gives the same results in both forms', async () => {
  const sealed = []
  for (const slow of ['bytes', 'objects'] as const) {
    const { open, seal } = await onNodeWhere(slow)
    const made = seal(counting(1, 32), counting(2, 12), counting(3, 20), counting(4, 50))
    expect(open(counting(1, 32), counting(3, 20), made)).toEqual(counting(4, 50))
    sealed.push(made)
  }
  expect(sealed[0]).toEqual(sealed[1])
})

it('is measured once, in less than 2 ms when the machine has time', async () => {
  const times = []
  for (let attempt = 0; attempt < 10; attempt++) {
    vi.resetModules()
    const { singleUseKey } = await import('../../src/crypto/single-use-key.ts')
    const start = performance.now()
    const form = singleUseKey(CANARY_DEK)
    times.push(performance.now() - start)
    expect(singleUseKey(CANARY_DEK).constructor).toBe(form.constructor)
  }
  expect(Math.min(...times)).toBeLessThan(2)
})

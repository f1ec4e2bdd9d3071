import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { deriveKeys } from '../../src/crypto/derive.ts'
import { counting } from '../sample.ts'

const derived = (key: Uint8Array, message: Uint8Array): string => {
  const { encKey, commit } = deriveKeys(key, message)
  return Buffer.concat([encKey, commit]).toString('hex')
}
const hmac = (key: Uint8Array, message: Uint8Array): string =>
  createHmac('sha512', key).update(message).digest('hex')

describe('the HMAC of the derivation', () => {
  it.each([0, 1, 31, 32, 33, 64, 127, 128, 129, 200])('is that of Node for a key of %i bytes', (length) => {
    const key = counting(3, length)
    expect(derived(key, counting(5, 100))).toBe(hmac(key, counting(5, 100)))
  })

  it.each([0, 1, 111, 112, 1_023, 1_024, 1_025, 8_400, 100_000])('is that of Node for %i bytes', (length) => {
    const message = counting(9, length)
    expect(derived(counting(0, 32), message)).toBe(hmac(counting(0, 32), message))
  })

  it('keeps nothing of a call for the next one', () => {
    const calls: readonly (readonly [Uint8Array, Uint8Array])[] = [
      [counting(1, 128), counting(2, 2_000)],
      [counting(3, 32), counting(4, 1_000)],
      [counting(5, 8), counting(6, 3)],
      [counting(3, 32), counting(4, 1_000)],
    ]
    for (const [key, message] of calls) expect(derived(key, message)).toBe(hmac(key, message))
  })
})

import { describe, expect, it } from 'vitest'
import { unwrapKeyBytes, wrapKeyBytes } from '../../src/crypto/key-wrap.ts'
import { unwrapKeyBatch, wrapKeyBatch } from '../../src/crypto/key-wrap-batch.ts'
import { secretKey } from '../../src/crypto/secret-key.ts'
import { counting, flipBit } from '../sample.ts'

const KEK = secretKey(counting(0, 32))
const dekOf = (index: number): Uint8Array => counting(index * 7, 32)
const plain = (bytes: Uint8Array | null): Uint8Array | null => (bytes === null ? null : new Uint8Array(bytes))

describe('AES-256-KW in batches', () => {
  it.each([0, 1, 2, 3, 4, 5, 16, 100])('gives for %i keys what it gives one by one', (count) => {
    const deks = Array.from({ length: count }, (_, index) => dekOf(index))
    const wrapped = wrapKeyBatch(KEK, deks)
    expect(wrapped.map(plain)).toEqual(deks.map((dek) => plain(wrapKeyBytes(KEK, dek))))
    expect(unwrapKeyBatch(KEK, wrapped).map(plain)).toEqual(deks)
  })

  it('notices every flipped bit of one key and unwraps its neighbours', () => {
    const deks = Array.from({ length: 8 }, (_, index) => dekOf(index))
    const wrapped = deks.map((dek) => new Uint8Array(wrapKeyBytes(KEK, dek)))
    for (let bit = 0; bit < 40 * 8; bit++) {
      const damaged = wrapped.map((each, index) => (index === bit % 8 ? flipBit(each, bit) : each))
      expect(unwrapKeyBatch(KEK, damaged).map(plain)).toEqual(
        deks.map((dek, index) => (index === bit % 8 ? null : dek)),
      )
    }
  })

  it('keeps a key of another length out of its neighbours', () => {
    const wrapped = Array.from({ length: 8 }, (_, index) => wrapKeyBytes(KEK, dekOf(index)))
    for (const length of [0, 24, 39, 41, 48, 400]) {
      const outcomes = unwrapKeyBatch(KEK, [...wrapped, counting(1, length), ...wrapped])
      expect(outcomes.map(plain)).toEqual([
        ...wrapped.map((_, index) => dekOf(index)),
        null,
        ...wrapped.map((_, index) => dekOf(index)),
      ])
    }
    expect(() => wrapKeyBatch(KEK, [...wrapped.map((_, index) => dekOf(index)), counting(1, 31)])).toThrow(
      RangeError,
    )
  })

  it('leaves what it was given as it was', () => {
    const deks = Array.from({ length: 8 }, (_, index) => dekOf(index))
    const wrapped = wrapKeyBatch(KEK, deks)
    const before = wrapped.map(plain)
    unwrapKeyBatch(KEK, wrapped)
    expect(deks).toEqual(Array.from({ length: 8 }, (_, index) => dekOf(index)))
    expect(wrapped.map(plain)).toEqual(before)
  })

  it('unwraps under the right KEK only', () => {
    const wrapped = wrapKeyBatch(
      secretKey(counting(1, 32)),
      Array.from({ length: 8 }, (_, index) => dekOf(index)),
    )
    expect(unwrapKeyBatch(KEK, wrapped)).toEqual(new Array(8).fill(null))
    expect(wrapped.map((each) => unwrapKeyBytes(KEK, each))).toEqual(new Array(8).fill(null))
  })
})

import { inspect } from 'node:util'
import { serialize } from 'node:v8'
import { describe, expect, it } from 'vitest'
import { CANARY_KEK, findCanaries } from '../../../../test/canaries.ts'
import { explicitKeys, generateKek } from '../../src/index.ts'
import { createKek, passesSelfTest, unwrapKey, unwrapKeys, wrapKey, wrapKeys } from '../../src/keyring/kek.ts'
import { counting, KNOWN, V1, V2 } from '../sample.ts'

const CANARY = createKek('canary', CANARY_KEK)

describe('a KEK', () => {
  it('shows its id and its fingerprint, however it is printed', () => {
    const label = `[kek v1 ${KNOWN.fingerprint}]`
    expect([`${V1}`, inspect(V1), JSON.stringify(V1), inspect([V1])]).toEqual([
      label,
      label,
      `"${label}"`,
      `[ ${label} ]`,
    ])
  })

  it('has no properties but id, fingerprint and suite', () => {
    expect({ ...V1 }).toEqual({ id: 'v1', fingerprint: KNOWN.fingerprint, suite: '0001' })
    expect(Reflect.ownKeys(V1).sort()).toEqual(['fingerprint', 'id', 'suite'])
  })

  it('gives its key to no reflection, copy or serialisation', () => {
    const printed = [
      inspect(CANARY, { customInspect: false, showHidden: true, depth: 9 }),
      inspect(structuredClone(CANARY)),
      serialize(CANARY).toString('latin1'),
      JSON.stringify(Object.getOwnPropertyDescriptors(CANARY)),
      inspect(Object.getPrototypeOf(CANARY), { showHidden: true }),
    ]
    expect(printed.flatMap(findCanaries)).toEqual([])
    expect(Object.keys(Object.getPrototypeOf(CANARY)).concat(Object.keys(CANARY.constructor))).toEqual([])
  })

  it('cannot be changed', () => {
    expect(() => Object.assign(V1, { id: 'v2' })).toThrow(TypeError)
    expect(() => Object.assign(V1, { extra: 1 })).toThrow(TypeError)
    expect(V1.id).toBe('v1')
  })

  it('is a copy: clearing the bytes it was made of changes nothing', () => {
    const bytes = KNOWN.kekBytes.slice()
    const kek = createKek('v1', bytes)
    bytes.fill(0)
    expect(kek.fingerprint).toBe(KNOWN.fingerprint)
    expect(passesSelfTest(kek)).toBe(true)
  })

  it.each([0, 16, 31, 33])('is not made of %i bytes', (length) => {
    expect(() => createKek('v1', counting(0, length))).toThrow(RangeError)
  })

  it('wraps a DEK that it alone unwraps', () => {
    const wrapped = wrapKey(V1, KNOWN.dek)
    expect(wrapped).toHaveLength(40)
    expect(new Uint8Array(unwrapKey(V1, wrapped) as Uint8Array)).toEqual(KNOWN.dek)
    expect(unwrapKey(V2, wrapped)).toBeNull()
  })

  it.each([0, 1, 15, 16, 17, 100])('wraps and unwraps %i DEKs at once as it does one by one', (count) => {
    const deks = Array.from({ length: count }, (_, index) => counting(index, 32))
    const wrapped = deks.map((dek) => new Uint8Array(wrapKey(V1, dek)))
    expect(wrapKeys(V1, deks).map((each) => new Uint8Array(each))).toEqual(wrapped)
    const damaged = wrapped.map((each, index) => (index % 3 === 1 ? counting(0, 40) : each))
    const expected = deks.map((dek, index) => (index % 3 === 1 ? null : dek))
    expect(unwrapKeys(V1, damaged).map((dek) => dek && new Uint8Array(dek))).toEqual(expected)
    expect(deks).toEqual(Array.from({ length: count }, (_, index) => counting(index, 32)))
  })
})

describe('a generated KEK', () => {
  it('is 32 fresh bytes as base64url, which a key source takes', async () => {
    const generated = [generateKek(), generateKek()]
    expect(generated[0]).not.toBe(generated[1])
    for (const text of generated) {
      expect(text).toMatch(/^[A-Za-z0-9_-]{43}$/)
      const keks = { v1: Buffer.from(text, 'base64url') }
      await expect(explicitKeys({ currentKekId: 'v1', keks }).load()).resolves.toHaveProperty('ids', ['v1'])
    }
  })
})

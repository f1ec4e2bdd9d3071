import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { CANARY_DEK, findCanaries } from '../../../../test/canaries.ts'
import { open, seal } from '../../src/crypto/aead.ts'
import { deriveKeys } from '../../src/crypto/derive.ts'
import { equalConstantTime, sha256 } from '../../src/crypto/digest.ts'
import { unwrapKeyBytes, wrapKeyBytes } from '../../src/crypto/key-wrap.ts'
import { drawKey, drawValueRandomness } from '../../src/crypto/random.ts'
import { SecretBytes } from '../../src/crypto/secret-bytes.ts'
import { secretKey } from '../../src/crypto/secret-key.ts'
import { counting, flipBit } from '../sample.ts'

const KEK = secretKey(counting(0, 32))

describe('AES-256-KW', () => {
  it('gives the answer of RFC 3394 section 4.6', () => {
    const keyData = Buffer.from('00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f', 'hex')
    const wrapped = wrapKeyBytes(KEK, keyData)
    expect(Buffer.from(wrapped).toString('hex')).toBe(
      '28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21',
    )
    expect(unwrapKeyBytes(KEK, wrapped)).toEqual(keyData)
  })

  it.each([16, 24, 40, 64, 4096])('wraps %i bytes', (length) => {
    const keyBytes = counting(7, length)
    const wrapped = wrapKeyBytes(KEK, keyBytes)
    expect(wrapped).toHaveLength(length + 8)
    expect(new Uint8Array(unwrapKeyBytes(KEK, wrapped) as Uint8Array)).toEqual(keyBytes)
  })

  it.each([0, 8, 15, 17, 31, 33])('does not wrap %i bytes', (length) => {
    expect(() => wrapKeyBytes(KEK, counting(0, length))).toThrow(RangeError)
  })

  it.each([0, 8, 16, 23, 25, 39, 41])('does not unwrap %i bytes, which OpenSSL may', (length) => {
    expect(unwrapKeyBytes(KEK, counting(0, length))).toBeNull()
  })

  it('notices every flipped bit', () => {
    const wrapped = wrapKeyBytes(KEK, counting(9, 32))
    for (let bit = 0; bit < wrapped.length * 8; bit++) {
      expect(unwrapKeyBytes(KEK, flipBit(wrapped, bit))).toBeNull()
    }
  })
})

describe('AES-256-GCM', () => {
  const key = counting(1, 32)
  const nonce = counting(2, 12)
  const aad = counting(3, 20)

  it('returns nonce, ciphertext and tag, also of an empty plaintext', () => {
    const sealed = seal(key, nonce, aad, new Uint8Array())
    expect(sealed).toHaveLength(28)
    expect(sealed.subarray(0, 12)).toEqual(nonce)
    expect(open(key, aad, sealed)).toEqual(new Uint8Array())
  })

  it('opens under the same key and associated data only', () => {
    const sealed = seal(key, nonce, aad, counting(4, 50))
    expect(open(key, aad, sealed)).toEqual(counting(4, 50))
    expect(open(flipBit(key, 0), aad, sealed)).toBeNull()
    expect(open(key, flipBit(aad, 0), sealed)).toBeNull()
    for (let bit = 0; bit < sealed.length * 8; bit++) expect(open(key, aad, flipBit(sealed, bit))).toBeNull()
  })

  it('returns plaintext in memory of its own', () => {
    const plaintext = open(key, aad, seal(key, nonce, aad, counting(4, 50)))
    expect(plaintext?.buffer.byteLength).toBe(50)
    expect(Object.getPrototypeOf(plaintext)).toBe(Uint8Array.prototype)
  })
})

describe('derivation and randomness', () => {
  it('derives other keys for another DEK or other info', () => {
    const derived = [
      deriveKeys(counting(0, 32), counting(0, 10)),
      deriveKeys(counting(1, 32), counting(0, 10)),
      deriveKeys(counting(0, 32), counting(1, 10)),
    ]
    const halves = derived.flatMap(({ encKey, commit }) => [encKey, commit].map((half) => half.join()))
    expect(new Set(halves).size).toBe(6)
    expect(derived[0]?.encKey).toHaveLength(32)
    expect(derived[0]?.commit).toHaveLength(32)
  })

  it('draws a DEK and a nonce that share no pool with other bytes', () => {
    const { dek, nonce } = drawValueRandomness()
    expect([dek.length, nonce.length, dek.buffer.byteLength]).toEqual([32, 12, 44])
    expect(drawValueRandomness().dek).not.toEqual(dek)
    expect(drawKey().buffer.byteLength).toBe(32)
  })

  it('compares byte strings of any lengths', () => {
    expect(equalConstantTime(counting(0, 8), counting(0, 8))).toBe(true)
    expect(equalConstantTime(counting(0, 8), counting(1, 8))).toBe(false)
    expect(equalConstantTime(counting(0, 8), counting(0, 9))).toBe(false)
  })

  it('computes SHA-256', () => {
    expect(Buffer.from(sha256(Buffer.from('abc'))).toString('hex')).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    )
  })
})

describe('secret bytes', () => {
  it('are copied, lent and cleared', () => {
    const source = CANARY_DEK.slice()
    const secret = new SecretBytes(source)
    source.fill(0)
    expect(secret.length).toBe(32)
    expect(secret.use((bytes) => equalConstantTime(bytes, CANARY_DEK))).toBe(true)
    secret.clear()
    expect(secret.use((bytes) => bytes.every((byte) => byte === 0))).toBe(true)
  })

  it('are cleared at the end of a using block', () => {
    let kept: SecretBytes
    {
      using secret = new SecretBytes(CANARY_DEK)
      kept = secret
    }
    expect(kept.use((bytes) => bytes.every((byte) => byte === 0))).toBe(true)
  })

  it('are printed by nothing', () => {
    const secret = new SecretBytes(CANARY_DEK)
    const printed = [
      `${secret}`,
      JSON.stringify({ secret }),
      inspect(secret, { showHidden: true, depth: 9 }),
      inspect(secret, { customInspect: false, showHidden: true }),
      inspect({ ...secret }),
      inspect(structuredClone(secret)),
    ]
    expect(printed.slice(0, 3)).toEqual(['[secret bytes]', '{"secret":"[secret bytes]"}', '[secret bytes]'])
    expect(printed.flatMap(findCanaries)).toEqual([])
  })
})

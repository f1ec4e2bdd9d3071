import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { open, seal } from '../../src/crypto/aead.ts'
import { deriveKeys } from '../../src/crypto/derive.ts'
import { unwrapKeyBytes, wrapKeyBytes } from '../../src/crypto/key-wrap.ts'
import { unwrapKeyBatch, wrapKeyBatch } from '../../src/crypto/key-wrap-batch.ts'
import { secretKey } from '../../src/crypto/secret-key.ts'

type Hex = Readonly<Record<'key' | 'iv' | 'aad' | 'msg' | 'ct' | 'tag', string>>
type Test = Hex & { readonly tcId: number; readonly comment: string; readonly result: string }
interface Group {
  readonly keySize: number
  readonly ivSize?: number
  readonly tagSize?: number
  readonly tests: readonly Test[]
}

function groups(file: string, accepts: (group: Group) => boolean): Test[] {
  const url = new URL(`./wycheproof/${file}`, import.meta.url)
  const { testGroups } = JSON.parse(readFileSync(url, 'utf8')) as { readonly testGroups: readonly Group[] }
  return testGroups.filter(accepts).flatMap(({ tests }) => tests)
}

function bytes(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'))
}

function hex(value: Uint8Array | null): string | null {
  return value === null ? null : Buffer.from(value).toString('hex')
}

describe('AES-256-KW under the Wycheproof vectors', () => {
  const tests = groups('aes_wrap_test.json', ({ keySize }) => keySize === 256)

  it('is tested with more than 50 of them', () => {
    expect(tests.length).toBeGreaterThan(50)
  })

  it.each(tests)('answers test $tcId ($result) $comment', ({ key, msg, ct, result }) => {
    const kek = secretKey(bytes(key))
    expect(hex(unwrapKeyBytes(kek, bytes(ct)))).toBe(result === 'valid' ? msg : null)
    if (result === 'valid') expect(hex(wrapKeyBytes(kek, bytes(msg)))).toBe(ct)
  })

  it('answers the same in batches for every vector of the length of a DEK', () => {
    const wrapped = tests.filter(({ ct }) => ct.length === 80)
    expect(wrapped.length).toBeGreaterThan(5)
    for (const { key, msg, ct, result } of wrapped) {
      const kek = secretKey(bytes(key))
      const unwrapped = unwrapKeyBatch(kek, new Array<Uint8Array>(20).fill(bytes(ct)))
      expect(unwrapped.map(hex)).toEqual(new Array(20).fill(result === 'valid' ? msg : null))
      if (result !== 'valid') continue
      const wrappedAgain = wrapKeyBatch(kek, new Array<Uint8Array>(20).fill(bytes(msg)))
      expect(wrappedAgain.map(hex)).toEqual(new Array(20).fill(ct))
    }
  })
})

describe('AES-256-GCM under the Wycheproof vectors', () => {
  const tests = groups(
    'aes_gcm_test.json',
    ({ keySize, ivSize, tagSize }) => keySize === 256 && ivSize === 96 && tagSize === 128,
  )

  it('is tested with 66 of them', () => {
    expect(tests).toHaveLength(66)
  })

  it.each(tests)('answers test $tcId ($result) $comment', ({ key, iv, aad, msg, ct, tag, result }) => {
    const sealed = bytes(iv + ct + tag)
    expect(hex(open(bytes(key), bytes(aad), sealed))).toBe(result === 'valid' ? msg : null)
    if (result === 'valid') {
      expect(seal(bytes(key), bytes(iv), bytes(aad), bytes(msg))).toEqual(sealed)
    }
  })
})

describe('HMAC-SHA-512 under the Wycheproof vectors', () => {
  const tests = groups('hmac_sha512_test.json', ({ tagSize }) => tagSize === 512)

  it('is tested with more than 50 of them', () => {
    expect(tests.length).toBeGreaterThan(50)
  })

  it.each(tests)('answers test $tcId ($result) $comment', ({ key, msg, tag, result }) => {
    const { encKey, commit } = deriveKeys(bytes(key), bytes(msg))
    expect(hex(encKey) + String(hex(commit)) === tag).toBe(result === 'valid')
  })
})

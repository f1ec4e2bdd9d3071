import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { NONCE_BYTES, open, seal, TAG_BYTES } from '../../src/crypto/aead.ts'
import { deriveKeys } from '../../src/crypto/derive.ts'
import { unwrapKeyBytes, wrapKeyBytes } from '../../src/crypto/key-wrap.ts'
import { unwrapKeyBatch, wrapKeyBatch } from '../../src/crypto/key-wrap-batch.ts'
import { secretKey } from '../../src/crypto/secret-key.ts'
import { parseWrap } from '../../src/format/envelope-v2.ts'
import { KNOWN } from '../sample.ts'

type Hex = Readonly<Record<'key' | 'iv' | 'aad' | 'msg' | 'ct' | 'tag', string>>
type Test = Hex & { readonly tcId: number; readonly result: 'valid' | 'invalid' | 'acceptable' }
interface Group {
  readonly keySize: number
  readonly ivSize?: number
  readonly tagSize?: number
  readonly tests: readonly Test[]
}
interface File {
  readonly numberOfTests: number
  readonly testGroups: readonly Group[]
}

function read(file: string): File {
  const url = new URL(`./wycheproof/${file}`, import.meta.url)
  const parsed = JSON.parse(readFileSync(url, 'utf8')) as File
  const counted = parsed.testGroups.reduce((sum, { tests }) => sum + tests.length, 0)
  expect(counted).toBe(parsed.numberOfTests)
  return parsed
}

function testsOf({ testGroups }: File, accepts: (group: Group) => boolean): Test[] {
  return testGroups.filter(accepts).flatMap(({ tests }) => tests)
}

function count(tests: readonly Test[]): Readonly<Record<Test['result'] | 'all', number>> {
  const of = (wanted: Test['result']): number => tests.filter(({ result }) => result === wanted).length
  return { all: tests.length, valid: of('valid'), invalid: of('invalid'), acceptable: of('acceptable') }
}

function bytes(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'))
}

function hex(value: Uint8Array | null): string | null {
  return value === null ? null : Buffer.from(value).toString('hex')
}

/** The ids of the tests that a primitive answers otherwise. */
function wrong(tests: readonly Test[], isRight: (test: Test) => boolean): number[] {
  return tests.filter((test) => !isRight(test)).map(({ tcId }) => tcId)
}

describe('AES-256-KW under the Wycheproof vectors', () => {
  const file = read('aes_wrap_test.json')
  const tests = testsOf(file, ({ keySize }) => keySize === 256)
  /** The one `acceptable` test wraps 8 bytes, which RFC 3394 does not allow. */
  const unwrapped = ({ msg, result }: Test): string | null => (result === 'valid' ? msg : null)

  it('unwraps and wraps every valid one and refuses every other one, singly', () => {
    const isRight = (test: Test): boolean => {
      const kek = secretKey(bytes(test.key))
      if (hex(unwrapKeyBytes(kek, bytes(test.ct))) !== unwrapped(test)) return false
      return test.result !== 'valid' || hex(wrapKeyBytes(kek, bytes(test.msg))) === test.ct
    }
    expect(wrong(tests, isRight)).toEqual([])
  })

  it.each([1, 15, 100])('answers the same for every length in batches of %i', (size) => {
    const isRight = (test: Test): boolean => {
      const kek = secretKey(bytes(test.key))
      const outcomes = unwrapKeyBatch(kek, new Array<Uint8Array>(size).fill(bytes(test.ct)))
      if (outcomes.length !== size || outcomes.some((outcome) => hex(outcome) !== unwrapped(test)))
        return false
      if (test.result !== 'valid') return true
      const again = wrapKeyBatch(kek, new Array<Uint8Array>(size).fill(bytes(test.msg)))
      return again.every((outcome) => hex(outcome) === test.ct)
    }
    expect(wrong(tests, isRight)).toEqual([])
  })

  it.each([16, 100])('answers the same for the length of a DEK in batches of %i', (size) => {
    const wrappedDeks = tests.filter(({ ct }) => ct.length === 80)
    expect(count(wrappedDeks)).toMatchObject({ all: 16, valid: 4 })
    const isRight = (test: Test): boolean => {
      const kek = secretKey(bytes(test.key))
      // A good and a bad neighbour, so that no key of the batch answers for another one.
      const good = wrapKeyBytes(kek, KNOWN.dek)
      const batch = Array.from(
        { length: size },
        (_, index) => [bytes(test.ct), good, new Uint8Array(40)][index % 3],
      )
      const expected = batch.map((_, index) => [unwrapped(test), hex(KNOWN.dek), null][index % 3])
      const outcomes = unwrapKeyBatch(kek, batch as Uint8Array[])
      if (outcomes.some((outcome, index) => hex(outcome) !== expected[index])) return false
      if (test.result !== 'valid') return true
      const deks = batch.map((_, index) => (index % 3 === 0 ? bytes(test.msg) : KNOWN.dek))
      return wrapKeyBatch(kek, deks).every(
        (each, index) => hex(each) === (index % 3 === 0 ? test.ct : hex(good)),
      )
    }
    expect(wrong(wrappedDeks, isRight)).toEqual([])
  })

  it('accepts nothing invalid in a batch, whatever its length', () => {
    const refused = tests.filter(({ result }) => result !== 'valid')
    const isRight = (test: Test): boolean => {
      const outcomes = unwrapKeyBatch(
        secretKey(bytes(test.key)),
        new Array<Uint8Array>(20).fill(bytes(test.ct)),
      )
      return outcomes.every((outcome) => outcome === null)
    }
    expect(wrong(refused, isRight)).toEqual([])
  })

  it('is tested with all of the file’s with keys of 256 bits', () => {
    const { all, valid, invalid, acceptable } = count(tests)
    console.log(
      `wycheproof aes_wrap: ${all} of ${file.numberOfTests} (256-bit keys; the others have 128 and 192): ` +
        `${valid} valid, ${invalid} invalid, ${acceptable} acceptable (refused), single and batched`,
    )
    expect({ all, valid, invalid, acceptable }).toEqual({ all: 68, valid: 13, invalid: 54, acceptable: 1 })
    const others = testsOf(file, ({ keySize }) => keySize !== 256)
    expect(all + others.length).toBe(file.numberOfTests)
  })
})

describe('AES-256-GCM under the Wycheproof vectors', () => {
  const file = read('aes_gcm_test.json')
  const isOurs = ({ keySize, ivSize }: Group): boolean => keySize === 256 && ivSize === 96
  const tests = testsOf(file, isOurs)

  it('opens and seals every valid one and refuses every other one', () => {
    const isRight = ({ key, iv, aad, msg, ct, tag, result }: Test): boolean => {
      const sealed = bytes(iv + ct + tag)
      if (hex(open(bytes(key), bytes(aad), sealed)) !== (result === 'valid' ? msg : null)) return false
      return result !== 'valid' || hex(seal(bytes(key), bytes(iv), bytes(aad), bytes(msg))) === hex(sealed)
    }
    expect(wrong(tests, isRight)).toEqual([])
  })

  it('refuses every valid tag that is cut to 0 to 15 bytes', () => {
    const wrapText = KNOWN.envelope.slice(0, KNOWN.envelope.lastIndexOf(':'))
    let cut = 0
    let accepted = 0
    for (const { key, iv, aad, ct, tag } of tests.filter(({ result }) => result === 'valid')) {
      for (let length = 0; length < TAG_BYTES; length++) {
        const sealed = bytes(iv + ct + tag.slice(0, length * 2))
        cut += 1
        // What is shorter than nonce and tag never gets as far as the tag: the length is checked first.
        if ('fault' in parseWrap(wrapText, sealed.length))
          expect(sealed.length).toBeLessThan(NONCE_BYTES + TAG_BYTES)
        else if (open(bytes(key), bytes(aad), sealed) !== null) accepted += 1
      }
    }
    console.log(`wycheproof aes_gcm: ${cut} valid tags cut to 0 to 15 bytes, ${accepted} accepted`)
    expect({ cut, accepted }).toEqual({ cut: 39 * 16, accepted: 0 })
  })

  it('is tested with all of the file’s with keys of 256 and nonces of 96 bits', () => {
    const { all, valid, invalid } = count(tests)
    console.log(
      `wycheproof aes_gcm: ${all} of ${file.numberOfTests} (256-bit keys, 96-bit nonces): ` +
        `${valid} valid, ${invalid} invalid`,
    )
    expect({ all, valid, invalid }).toEqual({ all: 66, valid: 39, invalid: 27 })
    expect(testsOf(file, ({ keySize }) => keySize === 256)).toHaveLength(105)
    expect(all + testsOf(file, (group) => !isOurs(group)).length).toBe(file.numberOfTests)
  })
})

describe('HMAC-SHA-512 under the Wycheproof vectors', () => {
  const file = read('hmac_sha512_test.json')
  const tests = testsOf(file, () => true)

  it('gives every valid tag as enc_key and commit, and none of the others', () => {
    const isRight = ({ key, msg, tag, result }: Test): boolean => {
      const { encKey, commit } = deriveKeys(bytes(key), bytes(msg))
      // Half of the tests have tags of 256 bits, which are the first half of the whole one.
      const computed = `${hex(encKey)}${hex(commit)}`.slice(0, tag.length)
      return (computed === tag) === (result === 'valid')
    }
    expect(wrong(tests, isRight)).toEqual([])
  })

  it('is tested with all of the file’s', () => {
    const { all, valid, invalid } = count(tests)
    const whole = testsOf(file, ({ tagSize }) => tagSize === 512).length
    console.log(
      `wycheproof hmac_sha512: ${all} of ${file.numberOfTests}: ${valid} valid, ${invalid} invalid ` +
        `(${whole} with tags of 512 bits, ${all - whole} of 256)`,
    )
    expect({ all, valid, invalid, whole }).toEqual({
      all: file.numberOfTests,
      valid: 66,
      invalid: 108,
      whole: 87,
    })
  })
})

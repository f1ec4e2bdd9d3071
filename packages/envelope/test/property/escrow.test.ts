import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  FormatError,
  generateEscrowKeyPair,
  inspectSealedKek,
  isEnvelopeError,
  openKek,
  sealKek,
} from '../../src/index.ts'
import { keyText, publicOf, readSealed, withCheck, writeSealed } from '../support/sealed-kek.ts'
import { keks, legalKekIds } from './arbitraries.ts'

const pair = generateEscrowKeyPair()
const known = await sealKek({ kekId: 'v1', kek: crypto.getRandomValues(new Uint8Array(32)), for: pair })
const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length })

describe('any KEK', { timeout: 60_000 }, () => {
  it('comes back from escrow, here and through a program that knows only the specification', async () => {
    await fc.assert(
      fc.asyncProperty(legalKekIds, keks, async (kekId, kek) => {
        const text = await sealKek({ kekId, kek, for: pair })
        using opened = await openKek(text, pair)
        expect(opened.kek).toEqual(kek)
        expect(opened.kekId).toBe(kekId)
        expect(inspectSealedKek(text)).toMatchObject({ kekId, fingerprint: opened.fingerprint })
        const read = readSealed(text, pair.privateKey)
        expect(new Uint8Array(read.kek)).toEqual(kek)
        expect(read.header['fingerprint']).toBe(opened.fingerprint)
      }),
      { numRuns: 300 },
    )
  })

  it('opens as that program sealed it, for any private key, and for no other', async () => {
    const times = fc
      .date({ min: new Date(0), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true })
      .map((time) => time.toISOString().replace(/\.\d+/, ''))
    const whole = fc.tuple(legalKekIds, keks, bytes(32), bytes(32), bytes(12), times)
    await fc.assert(
      fc.asyncProperty(whole, async ([kekId, kek, secret, ephemeralSecret, nonce, time]) => {
        const { fingerprint } = inspectSealedKek(await sealKek({ kekId, kek, for: pair }))
        const about = [`kek-id: ${kekId}`, `fingerprint: ${fingerprint}`, `sealed-at: ${time}`]
        const holder = { recipient: publicOf(secret), ephemeralSecret }
        const text = writeSealed({ kek, nonce, about, for: holder })
        using opened = await openKek(text, { privateKey: keyText('private', secret) })
        expect([opened.kek, opened.sealedAt]).toEqual([kek, time])
        await expect(openKek(text, pair)).rejects.toMatchObject({ code: 'ERR_ESCROW_NOT_OPENED' })
      }),
      { numRuns: 200 },
    )
  })
})

describe('any text', { timeout: 60_000 }, () => {
  it('that is no sealed KEK is refused with a code, read and opened', async () => {
    const pieces = fc.constantFrom(...known.split(/(?<=[\n ])/), '\n', 'A', 'é', '\ud800', '=', '0')
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(pieces, { maxLength: 30 }).map((all) => all.join('')),
    )
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        fc.pre(text !== known)
        expect(() => inspectSealedKek(text)).toThrow(FormatError)
        await expect(openKek(text, pair)).rejects.toSatisfy(isEnvelopeError)
      }),
      { numRuns: 3_000 },
    )
  })

  it('made of a sealed KEK by replacing a stretch of it never opens', async () => {
    const stretch = fc.tuple(
      fc.nat(known.length),
      fc.nat(12),
      fc.string({ unit: fc.constantFrom(...known), maxLength: 12 }),
    )
    let refused = 0
    await fc.assert(
      fc.asyncProperty(stretch, fc.boolean(), async ([at, length, put], fits) => {
        const altered = known.slice(0, at) + put + known.slice(at + length)
        const text = fits ? withCheck(altered) : altered
        fc.pre(text !== known)
        await expect(openKek(text, pair)).rejects.toSatisfy(isEnvelopeError)
        refused += 1
      }),
      { numRuns: 3_000 },
    )
    console.log(`escrow: ${refused} files with a stretch replaced, 0 opened`)
  })
})

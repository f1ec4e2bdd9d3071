import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  generateEscrowKeyPair,
  generateKek,
  inspectSealedKek,
  OpenedKek,
  openKek,
  type SealFor,
  sealKek,
} from '../../src/index.ts'
import { counting, KNOWN } from '../sample.ts'
import { keyText, LOW_ORDER_POINTS, publicOf } from '../support/sealed-kek.ts'

const PASSPHRASE = 'correct horse battery staple'
const { publicKey, privateKey } = generateEscrowKeyPair()
const kek = new Uint8Array(Buffer.from(generateKek(), 'base64url'))

async function faultsOf(action: Promise<unknown>): Promise<unknown> {
  const error: unknown = await action.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  expect(error).toMatchObject({ name: 'KeyError', code: 'ERR_KEY_CONFIGURATION' })
  return (error as { readonly faults: unknown }).faults
}

afterEach(() => {
  vi.useRealTimers()
})

describe('a KEK in escrow', { timeout: 60_000 }, () => {
  it.each<readonly [string, SealFor, Parameters<typeof openKek>[1]]>([
    ['a passphrase', { passphrase: PASSPHRASE }, { passphrase: PASSPHRASE }],
    ['a passphrase at a higher cost', { passphrase: PASSPHRASE, costLog2: 18 }, { passphrase: PASSPHRASE }],
    ['a private key', { publicKey }, { privateKey }],
  ])('comes back through %s', async (_what, holder, opener) => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.UTC(2026, 4, 4, 10, 20, 30, 999) })
    const text = await sealKek({ kekId: 'v1', kek: KNOWN.kekBytes, for: holder })
    expect(await sealKek({ kekId: 'v1', kek: KNOWN.kekBytes, for: holder })).not.toBe(text)
    using opened = await openKek(text, opener)
    expect(opened).toBeInstanceOf(OpenedKek)
    expect(opened.kek).toEqual(KNOWN.kekBytes)
    const { kekId, fingerprint, sealedAt } = opened
    const named = { kekId: 'v1', fingerprint: KNOWN.fingerprint, sealedAt: '2026-05-04T10:20:30Z' }
    expect({ kekId, fingerprint, sealedAt }).toEqual(named)
    const method = 'publicKey' in holder ? 'x25519' : 'passphrase'
    const recipient = 'publicKey' in holder ? publicKey : null
    expect(inspectSealedKek(text)).toEqual({ ...named, method, recipient })
  })

  it('opens with a passphrase however its accents are put together', async () => {
    const text = await sealKek({
      kekId: 'v1',
      kek,
      for: { passphrase: 'cinq étés à la plage'.normalize('NFD') },
    })
    using opened = await openKek(text, { passphrase: 'cinq étés à la plage'.normalize('NFC') })
    expect(opened.kek).toEqual(kek)
  })

  it('is the one that was given, whatever becomes of the bytes afterwards', async () => {
    const given = kek.slice()
    const sealing = sealKek({ kekId: 'v1', kek: given, for: { publicKey } })
    given.fill(7)
    using opened = await openKek(await sealing, { privateKey })
    expect(opened.kek).toEqual(kek)
  })

  it('is overwritten when it is disposed of, and not given out any more', async () => {
    const opened = await openKek(await sealKek({ kekId: 'v1', kek, for: { publicKey } }), { privateKey })
    const bytes = opened.kek
    opened.dispose()
    expect(bytes).toEqual(new Uint8Array(32))
    expect(() => opened.kek).toThrow(TypeError)
  })

  it('is sealed with a passphrase beside the event loop', async () => {
    let turns = 0
    let isSealing = true
    const turn = (): void => {
      turns += 1
      if (isSealing) setImmediate(turn)
    }
    turn()
    await sealKek({ kekId: 'v1', kek, for: { passphrase: PASSPHRASE } })
    isSealing = false
    expect(turns).toBeGreaterThan(10)
  })

  it('is not waited for when the signal says so, before and while scrypt runs', async () => {
    const reason = new Error('enough')
    const sealing = { kekId: 'v1', kek, for: { passphrase: PASSPHRASE } }
    await expect(sealKek({ ...sealing, signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const text = await sealKek(sealing)
    for (const start of [
      (signal: AbortSignal) => sealKek({ ...sealing, signal }),
      (signal: AbortSignal) => openKek(text, { passphrase: PASSPHRASE, signal }),
    ]) {
      const controller = new AbortController()
      const pending = start(controller.signal)
      setImmediate(() => controller.abort(reason))
      await expect(pending).rejects.toBe(reason)
    }
  })
})

describe('sealing refuses', { timeout: 60_000 }, () => {
  it.each([
    ['an empty passphrase', '', 'has 0 characters: give 16 to 1024'],
    ['a short passphrase', 'fifteen letters', 'has 15 characters: give 16 to 1024'],
    ['few characters in many units', '\u{1f511}'.repeat(15), 'has 15 characters: give 16 to 1024'],
    [
      'few characters that are composed',
      'éèêàâîôûüéèêàâî'.normalize('NFD'),
      'has 15 characters: give 16 to 1024',
    ],
    ['an endless passphrase', PASSPHRASE.repeat(40), 'has 1120 characters: give 16 to 1024'],
    ['one character repeated', 'a'.repeat(20), 'has fewer than 8 different characters'],
    ['seven characters repeated', 'abcdefg'.repeat(3), 'has fewer than 8 different characters'],
    ['a newline at the end', `${PASSPHRASE}\n`, 'that cannot be seen or typed'],
    ['a zero-width space', `${PASSPHRASE}\u200b.`, 'that cannot be seen or typed'],
    ['a lone surrogate', `${PASSPHRASE}\ud800`, 'that cannot be seen or typed'],
    ['a code point without a character', `${PASSPHRASE}\u0378`, 'that cannot be seen or typed'],
    ['white space at the start', ` ${PASSPHRASE}`, 'begins or ends with white space'],
    ['white space at the end', `${PASSPHRASE}\u00a0`, 'begins or ends with white space'],
  ])('%s', async (_what, passphrase, fault) => {
    const faults = await faultsOf(sealKek({ kekId: 'v1', kek, for: { passphrase } }))
    expect(faults).toContainEqual({ variable: 'passphrase', fault: expect.stringContaining(fault) })
  })

  it.each([
    ['bytes that are no key', new Uint8Array(31), 'has 31 bytes: a KEK has 32'],
    ['bytes that are all alike', new Uint8Array(32), 'is weak: it has fewer than 12 distinct bytes'],
    [
      'text',
      new Uint8Array(Buffer.from('abcdefghijklmnopqrstuvwxyz012345')),
      'is weak: all 32 bytes are printable',
    ],
  ])('%s', async (_what, unfit, fault) => {
    const faults = await faultsOf(sealKek({ kekId: 'v1', kek: unfit, for: { publicKey } }))
    expect(faults).toEqual([{ variable: 'kek', fault: expect.stringContaining(fault) }])
  })

  it('a public key with any one character altered: a KEK would be sealed for nobody', async () => {
    const alphabet = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=:']
    let tried = 0
    for (let at = 0; at < publicKey.length; at += 1) {
      for (const character of alphabet.filter((each) => each !== publicKey[at])) {
        const altered = publicKey.slice(0, at) + character + publicKey.slice(at + 1)
        await faultsOf(sealKek({ kekId: 'v1', kek, for: { publicKey: altered } }))
        tried += 1
      }
    }
    console.log(`escrow: ${tried} public keys with one character altered, 0 accepted`)
    expect(tried).toBe(publicKey.length * 65)
  })

  it.each([
    ['the private key', privateKey, 'is no public escrow key'],
    [
      'the private key under the other name',
      privateKey.replace('private', 'public'),
      'does not match its check',
    ],
    ['no key', '', 'is no public escrow key'],
    ['a key without its check', keyText('public', counting(0, 32)).slice(0, -5), 'has not 48 characters'],
    ['white space around it', `${publicKey} `, 'has not 48 characters'],
  ])('as public key: %s', async (_what, given, fault) => {
    const faults = await faultsOf(sealKek({ kekId: 'v1', kek, for: { publicKey: given } }))
    expect(faults).toEqual([{ variable: 'publicKey', fault: expect.stringContaining(fault) }])
  })

  it('points of low order as public keys, all fourteen', async () => {
    for (const point of LOW_ORDER_POINTS) {
      const sealing = sealKek({ kekId: 'v1', kek, for: { publicKey: keyText('public', point) } })
      expect(await faultsOf(sealing)).toEqual([
        { variable: 'publicKey', fault: 'is a point that keeps nothing secret' },
      ])
    }
    expect(LOW_ORDER_POINTS).toHaveLength(14)
  })

  it('with all faults at once', async () => {
    const sealing = sealKek({ kekId: 'v1', kek: new Uint8Array(3), for: { passphrase: ' a ' } })
    expect(await faultsOf(sealing)).toHaveLength(4)
  })
})

describe('misuse is a TypeError', () => {
  const sealing = { kekId: 'v1', kek, for: { publicKey } }

  it.each<readonly [string, unknown]>([
    ['an id that is none', { ...sealing, kekId: 'V1' }],
    ['an id that is no text', { ...sealing, kekId: 1 }],
    ['a KEK as text', { ...sealing, kek: generateKek() }],
    ['nobody to seal for', { ...sealing, for: undefined }],
    ['a passphrase and a public key', { ...sealing, for: { passphrase: PASSPHRASE, publicKey } }],
    ['a passphrase as bytes', { ...sealing, for: { passphrase: new Uint8Array(20) } }],
    ['a cost below the lowest', { ...sealing, for: { passphrase: PASSPHRASE, costLog2: 16 } }],
    ['a cost above the highest', { ...sealing, for: { passphrase: PASSPHRASE, costLog2: 20 } }],
    ['a cost that is no integer', { ...sealing, for: { passphrase: PASSPHRASE, costLog2: 17.5 } }],
  ])('in sealKek: %s', async (_what, options) => {
    await expect(sealKek(options as typeof sealing)).rejects.toThrow(TypeError)
  })

  it('in openKek and inspectSealedKek', async () => {
    const text = await sealKek(sealing)
    for (const opener of [undefined, {}, { privateKey, passphrase: PASSPHRASE }, { privateKey: 1 }]) {
      await expect(openKek(text, opener as never)).rejects.toThrow(TypeError)
    }
    await expect(openKek(Buffer.from(text) as never, { privateKey })).rejects.toThrow(TypeError)
    expect(() => inspectSealedKek(undefined as never)).toThrow(TypeError)
  })
})

describe('a key pair', () => {
  it('is two texts that tell themselves apart, of a private key and its public one', () => {
    const pair = generateEscrowKeyPair()
    expect(pair.publicKey).toMatch(/^talos-escrow-public:[\w-]{48}$/)
    expect(pair.privateKey).toMatch(/^talos-escrow-private:[\w-]{48}$/)
    const secret = Buffer.from(pair.privateKey.slice(21), 'base64url').subarray(0, 32)
    expect(pair.privateKey).toBe(keyText('private', secret))
    expect(pair.publicKey).toBe(keyText('public', publicOf(secret)))
    expect(generateEscrowKeyPair()).not.toEqual(pair)
  })
})

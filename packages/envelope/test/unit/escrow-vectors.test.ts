import { describe, expect, it } from 'vitest'
import { generateEscrowKeyPair, inspectSealedKek, openKek, sealKek } from '../../src/index.ts'
import { counting, KNOWN } from '../sample.ts'
import { keyText, publicOf, readSealed, writeSealed } from '../support/sealed-kek.ts'

const ABOUT = ['kek-id: v1', `fingerprint: ${KNOWN.fingerprint}`, 'sealed-at: 2026-05-04T10:20:30Z'] as const
const PASSPHRASE = 'cinq étés à la plage'
const SECRET = counting(0x80, 32)
const PRIVATE_KEY = 'talos-escrow-private:gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp9FkQAk'
const PUBLIC_KEY = 'talos-escrow-public:ST6C_HRGSlkmiBdiPSBTxeuOLMSpiLT-4XnsawENUx1TD8uz'

const made = { kek: KNOWN.kekBytes, nonce: KNOWN.nonce, about: ABOUT }

/** Files that open for ever: what breaks one is a new version of the format, never an edit here. */
const VECTORS = [
  {
    id: 'a passphrase',
    opener: { passphrase: PASSPHRASE },
    recipient: null,
    from: { passphrase: PASSPHRASE, salt: counting(0x50, 16), N: 2 ** 17 },
    lines: [
      'method: passphrase',
      'scrypt: N=131072 r=8 p=1',
      'salt: UFFSU1RVVldYWVpbXF1eXw',
      '',
      'QEFCQ0RFRkdISUpLtgNsSr_GNRg74_PMDlUnS0Tqk4Em0MYiqEhS7uB0HibM_q1QwL1yt2u70GErzahX',
      'check: 2dd0e8d4',
    ],
  },
  {
    id: 'a passphrase, its accents typed as characters of their own, at the highest cost',
    opener: { passphrase: PASSPHRASE.normalize('NFD') },
    recipient: null,
    from: { passphrase: PASSPHRASE, salt: counting(0x50, 16), N: 2 ** 19 },
    lines: [
      'method: passphrase',
      'scrypt: N=524288 r=8 p=1',
      'salt: UFFSU1RVVldYWVpbXF1eXw',
      '',
      'QEFCQ0RFRkdISUpLYB3e9C2mgizq17K3kGgXdUcdvXF4M6lZ0-p_k2xhaBUfUYbPfAzqDSnyCIzBxmM9',
      'check: 13427c3f',
    ],
  },
  {
    id: 'a recipient',
    opener: { privateKey: PRIVATE_KEY },
    recipient: PUBLIC_KEY,
    from: { recipient: publicOf(SECRET), ephemeralSecret: counting(0xa0, 32) },
    lines: [
      'method: x25519',
      `recipient: ${PUBLIC_KEY}`,
      'ephemeral: YFpyXSpK3-6xop4X7dYhwbdZPujNvESsbEq24vgF0jw',
      '',
      'QEFCQ0RFRkdISUpL52TA2EyAB_p6arT2iFfpGzCY-hu5mkcM_Vn7pfCU7f87abS65cN_c_KOo3hhpVy2',
      'check: 2db74f98',
    ],
  },
] as const

function fileOf(lines: readonly string[]): string {
  const [begin, end] = ['-----BEGIN TALOS SEALED KEK V1-----', '-----END TALOS SEALED KEK V1-----']
  return `${[begin, ...ABOUT, ...lines, end].join('\n')}\n`
}

describe.each(VECTORS)(
  'the known file for $id',
  { timeout: 60_000 },
  ({ opener, recipient, from, lines }) => {
    const text = fileOf(lines)

    it('opens', async () => {
      using opened = await openKek(text, opener)
      expect(opened.kek).toEqual(KNOWN.kekBytes)
      const { kekId, fingerprint, sealedAt } = opened
      const named = { kekId: 'v1', fingerprint: KNOWN.fingerprint, sealedAt: '2026-05-04T10:20:30Z' }
      expect({ kekId, fingerprint, sealedAt }).toEqual(named)
      expect(inspectSealedKek(text)).toEqual({ ...named, method: lines[0].slice(8), recipient })
    })

    it('is what a program writes that knows the specification and nothing of this package', () => {
      expect(writeSealed({ ...made, for: from })).toBe(text)
    })
  },
)

describe('a program that knows the specification and nothing of this package', () => {
  const kek = counting(0x90, 32)

  it('opens what is sealed for a passphrase', async () => {
    const text = await sealKek({ kekId: 'backup-2', kek, for: { passphrase: PASSPHRASE.normalize('NFD') } })
    const read = readSealed(text, PASSPHRASE)
    expect(new Uint8Array(read.kek)).toEqual(kek)
    expect(read.header).toMatchObject({ 'kek-id': 'backup-2', scrypt: 'N=131072 r=8 p=1' })
  }, 60_000)

  it('opens what is sealed for a recipient, and agrees on the texts of keys', async () => {
    expect([keyText('private', SECRET), keyText('public', publicOf(SECRET))]).toEqual([
      PRIVATE_KEY,
      PUBLIC_KEY,
    ])
    const { publicKey, privateKey } = generateEscrowKeyPair()
    const text = await sealKek({ kekId: 'v1', kek, for: { publicKey } })
    const read = readSealed(text, privateKey)
    expect(new Uint8Array(read.kek)).toEqual(kek)
    expect(read.header).toMatchObject({ method: 'x25519', recipient: publicKey })
  })
})

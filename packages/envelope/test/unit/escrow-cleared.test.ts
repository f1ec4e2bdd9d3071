import { beforeEach, describe, expect, it, vi } from 'vitest'
import { generateEscrowKeyPair, openKek, sealKek } from '../../src/index.ts'
import { counting } from '../sample.ts'

/** The real functions, with a note of every buffer that held a secret. */
const secrets = vi.hoisted((): Uint8Array[] => [])

function noted<T extends Uint8Array | null>(bytes: T): T {
  if (bytes !== null) secrets.push(bytes)
  return bytes
}

vi.mock('../../src/crypto/random.ts', async (original) => {
  const real = await original<typeof import('../../src/crypto/random.ts')>()
  return { ...real, drawKey: () => noted(real.drawKey()) }
})

vi.mock('../../src/crypto/scrypt.ts', async (original) => {
  const real = await original<typeof import('../../src/crypto/scrypt.ts')>()
  const deriveFromPassphrase: typeof real.deriveFromPassphrase = async (passphrase, ...rest) =>
    noted(await real.deriveFromPassphrase(noted(passphrase), ...rest))
  return { ...real, deriveFromPassphrase }
})

vi.mock('../../src/crypto/x25519.ts', async (original) => {
  const real = await original<typeof import('../../src/crypto/x25519.ts')>()
  const agreeOnKey: typeof real.agreeOnKey = (privateKey, ...rest) =>
    noted(real.agreeOnKey(noted(privateKey), ...rest))
  return { ...real, agreeOnKey }
})

vi.mock('../../src/crypto/aead.ts', async (original) => {
  const real = await original<typeof import('../../src/crypto/aead.ts')>()
  const seal: typeof real.seal = (key, nonce, aad, plaintext) => {
    noted(plaintext as Uint8Array)
    return real.seal(key, nonce, aad, plaintext)
  }
  const open: typeof real.open = (...given) => noted(real.open(...given))
  return { ...real, seal, open }
})

const PASSPHRASE = 'correct horse battery staple'
const kek = counting(0x90, 32)
const pair = generateEscrowKeyPair()

/** All that was noted is zero now. */
function expectCleared(count: number): void {
  expect(secrets).toHaveLength(count)
  for (const bytes of secrets) expect(bytes.every((byte) => byte === 0)).toBe(true)
}

describe('keys, passphrases and KEKs are zero in memory', { timeout: 60_000 }, () => {
  beforeEach(() => {
    secrets.length = 0
  })

  it('after a KEK was sealed for a recipient: ephemeral key twice, key, KEK', async () => {
    await sealKek({ kekId: 'v1', kek, for: pair })
    expectCleared(4)
  })

  it('after a KEK was sealed with a passphrase: passphrase, key, KEK', async () => {
    await sealKek({ kekId: 'v1', kek, for: { passphrase: PASSPHRASE } })
    expectCleared(3)
  })

  it('after a KEK was opened and disposed of: private key, key, KEK', async () => {
    const text = await sealKek({ kekId: 'v1', kek, for: pair })
    secrets.length = 0
    const opened = await openKek(text, pair)
    expect(secrets.filter((bytes) => bytes.some((byte) => byte !== 0))).toEqual([opened.kek])
    opened.dispose()
    expectCleared(3)
  })

  it('after a wrong passphrase, and after a wait that was given up', async () => {
    const text = await sealKek({ kekId: 'v1', kek, for: { passphrase: PASSPHRASE } })
    secrets.length = 0
    await expect(openKek(text, { passphrase: `${PASSPHRASE}.` })).rejects.toThrow()
    expectCleared(2)
    const controller = new AbortController()
    const pending = sealKek({ kekId: 'v1', kek, for: { passphrase: PASSPHRASE }, signal: controller.signal })
    setImmediate(() => controller.abort())
    await expect(pending).rejects.toThrow()
    expectCleared(3)
  })
})

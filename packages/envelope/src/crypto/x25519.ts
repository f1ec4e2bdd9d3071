import { createPrivateKey, createPublicKey, diffieHellman, hkdfSync, type KeyObject } from 'node:crypto'
import { concat } from '../bytes.ts'
import { equalConstantTime } from './digest.ts'
import { KEY_BYTES } from './random.ts'

/** What stands before the 32 bytes of a key in PKCS #8 and in SPKI (RFC 8410): Node imports no bare bytes. */
const PRIVATE_PREFIX = Uint8Array.from([48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 110, 4, 34, 4, 32])
const PUBLIC_PREFIX = Uint8Array.from([48, 42, 48, 5, 6, 3, 43, 101, 110, 3, 33, 0])

/**
 * Computes the public key of an X25519 private key (RFC 7748).
 *
 * @param privateKey - 32 bytes: any are a private key.
 * @returns 32 bytes.
 */
export function x25519PublicKey(privateKey: Uint8Array): Uint8Array {
  const spki = createPublicKey(importPrivateKey(privateKey)).export({ format: 'der', type: 'spki' })
  return Uint8Array.from(spki.subarray(PUBLIC_PREFIX.length))
}

/**
 * Agrees on a key: X25519, then HKDF-SHA-256 (RFC 5869) without a salt over the shared secret.
 *
 * @param privateKey - 32 bytes of this side.
 * @param publicKey - 32 bytes of the other side.
 * @param info - Says what the key is for, and holds both public keys.
 * @returns 32 bytes, to be cleared by the caller, or `null` when the shared secret is all zeros: the public key is a point
 * of low order, and everybody knows the secret (RFC 7748 section 6.1).
 */
export function agreeOnKey(
  privateKey: Uint8Array,
  publicKey: Uint8Array,
  info: Uint8Array,
): Uint8Array | null {
  const shared = agree(privateKey, publicKey)
  if (shared === null) return null
  try {
    if (equalConstantTime(shared, new Uint8Array(KEY_BYTES))) return null
    return new Uint8Array(hkdfSync('sha256', shared, new Uint8Array(), info, KEY_BYTES))
  } finally {
    shared.fill(0)
  }
}

function agree(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | null {
  const spki = Buffer.from(concat([PUBLIC_PREFIX, publicKey]).buffer)
  const keys = {
    privateKey: importPrivateKey(privateKey),
    publicKey: createPublicKey({ key: spki, format: 'der', type: 'spki' }),
  }
  try {
    return diffieHellman(keys)
  } catch {
    // OpenSSL fails by itself where the secret would be all zeros.
    return null
  }
}

function importPrivateKey(bytes: Uint8Array): KeyObject {
  const pkcs8 = concat([PRIVATE_PREFIX, bytes])
  try {
    return createPrivateKey({ key: Buffer.from(pkcs8.buffer), format: 'der', type: 'pkcs8' })
  } finally {
    pkcs8.fill(0)
  }
}

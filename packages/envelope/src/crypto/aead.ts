import { createCipheriv, createDecipheriv } from 'node:crypto'
import { singleUseKey } from './single-use-key.ts'

/** Length of the nonce in bytes (NIST SP 800-38D section 5.2.1.1: 96 bits). */
export const NONCE_BYTES = 12

/** Length of the tag in bytes. */
export const TAG_BYTES = 16

/** Without `authTagLength` Node accepts tags of 4 bytes, which are forged in 2^32 tries. */
const OPTIONS = { authTagLength: TAG_BYTES } as const

/**
 * Encrypts with AES-256-GCM (NIST SP 800-38D).
 *
 * @param key - 32 bytes; used for this one message only.
 * @param nonce - 12 bytes.
 * @param aad - Authenticated, not encrypted.
 * @param plaintext - Any number of bytes, or well-formed text: encoded here, it needs no copy as bytes.
 * @returns `nonce || ciphertext || tag`: 28 bytes more than the plaintext.
 */
export function seal(
  key: Uint8Array,
  nonce: Uint8Array,
  aad: Uint8Array,
  plaintext: string | Uint8Array,
): Uint8Array {
  const cipher = createCipheriv('aes-256-gcm', singleUseKey(key), nonce, OPTIONS)
  cipher.setAAD(aad)
  const ciphertext =
    typeof plaintext === 'string' ? cipher.update(plaintext, 'utf8') : cipher.update(plaintext)
  cipher.final()
  const sealed = new Uint8Array(NONCE_BYTES + ciphertext.length + TAG_BYTES)
  sealed.set(nonce)
  sealed.set(ciphertext, NONCE_BYTES)
  sealed.set(cipher.getAuthTag(), NONCE_BYTES + ciphertext.length)
  return sealed
}

/**
 * Decrypts what {@link seal} made. Node's decipher hands out plaintext before the tag is checked; here none
 * leaves before `final()` has accepted it, and what was decrypted under a wrong tag is cleared.
 *
 * @param key - 32 bytes.
 * @param aad - As given to {@link seal}.
 * @param sealed - `nonce(12) || ciphertext || tag(16)`: at least 28 bytes, which the caller has checked.
 * @returns The plaintext, or `null` when the tag does not match.
 */
export function open(key: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array | null {
  const tagStart = sealed.length - TAG_BYTES
  const decipher = createDecipheriv(
    'aes-256-gcm',
    singleUseKey(key),
    sealed.subarray(0, NONCE_BYTES),
    OPTIONS,
  )
  decipher.setAAD(aad)
  decipher.setAuthTag(sealed.subarray(tagStart))
  const plaintext = decipher.update(sealed.subarray(NONCE_BYTES, tagStart))
  try {
    decipher.final()
  } catch {
    plaintext.fill(0)
    return null
  }
  return new Uint8Array(plaintext.buffer, plaintext.byteOffset, plaintext.length)
}

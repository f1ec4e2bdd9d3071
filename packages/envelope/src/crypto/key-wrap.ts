import { createCipheriv, createDecipheriv } from 'node:crypto'
import type { SecretKey } from './secret-key.ts'

/** How many bytes wrapping adds: the integrity check of 64 bits. */
export const WRAP_OVERHEAD_BYTES = 8

/** OpenSSL's name for AES-256-KW; Node lists no other one for it. */
const CIPHER = 'id-aes256-wrap'

/** The default initial value (RFC 3394 section 2.2.3.1). */
const INITIAL_VALUE = new Uint8Array(8).fill(0xa6)

/**
 * Wraps key material with AES-256-KW (RFC 3394; KW in NIST SP 800-38F section 6.2). Deterministic.
 *
 * @param kek - A key of 32 bytes.
 * @param keyBytes - A multiple of 8 bytes, at least 16.
 * @returns 8 bytes more than `keyBytes`.
 * @throws RangeError when the length of `keyBytes` is not such a number.
 */
export function wrapKeyBytes(kek: SecretKey, keyBytes: Uint8Array): Uint8Array {
  if (!isWrappable(keyBytes.length)) {
    throw new RangeError('AES-KW wraps a multiple of 8 bytes, at least 16.')
  }
  const cipher = createCipheriv(CIPHER, kek, INITIAL_VALUE)
  const wrapped = cipher.update(keyBytes)
  cipher.final()
  return wrapped
}

/**
 * Unwraps what {@link wrapKeyBytes} made. Lengths are checked first, because OpenSSL "unwraps" an empty input
 * without an error.
 *
 * @param kek - A key of 32 bytes.
 * @param wrapped - A multiple of 8 bytes, at least 24.
 * @returns The key bytes, 8 fewer than `wrapped`, or `null` when the length is wrong or the check of 64 bits
 * fails.
 */
export function unwrapKeyBytes(kek: SecretKey, wrapped: Uint8Array): Uint8Array | null {
  if (!isWrappable(wrapped.length - WRAP_OVERHEAD_BYTES)) return null
  const decipher = createDecipheriv(CIPHER, kek, INITIAL_VALUE)
  try {
    const keyBytes = decipher.update(wrapped)
    decipher.final()
    return keyBytes
  } catch {
    return null
  }
}

function isWrappable(length: number): boolean {
  return length >= 16 && length % 8 === 0
}

import { createHash, timingSafeEqual } from 'node:crypto'

/**
 * Computes SHA-256 (FIPS 180-4).
 *
 * @param bytes - Any number of bytes.
 * @returns 32 bytes.
 */
export function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest()
}

/**
 * Compares two byte strings in a time that depends on their lengths only.
 *
 * @returns Whether they are equal; strings of different lengths are not.
 */
export function equalConstantTime(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right)
}

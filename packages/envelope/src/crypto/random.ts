import { randomBytes } from 'node:crypto'
import { NONCE_BYTES } from './aead.ts'

/** Length of a KEK and of a DEK in bytes. */
export const KEY_BYTES = 32

/** The secret and the public random bytes of one value. */
export interface ValueRandomness {
  /** 32 bytes. */
  readonly dek: Uint8Array
  /** 12 bytes. */
  readonly nonce: Uint8Array
}

/**
 * Draws the DEK and the nonce of one value in one call to the system's generator. Nothing is drawn ahead: a
 * pool would survive in a snapshot of the machine or the heap, and two clones would share DEK and nonce.
 *
 * @returns 32 and 12 fresh bytes, in memory of their own.
 */
export function drawValueRandomness(): ValueRandomness {
  const bytes = randomBytes(KEY_BYTES + NONCE_BYTES)
  return { dek: bytes.subarray(0, KEY_BYTES), nonce: bytes.subarray(KEY_BYTES) }
}

/**
 * Draws the bytes of a new key.
 *
 * @returns 32 fresh bytes, in memory of their own.
 */
export function drawKey(): Uint8Array {
  return randomBytes(KEY_BYTES)
}

/**
 * Draws bytes that are no key material: identifiers, jitter.
 *
 * @param length - How many.
 * @returns Fresh bytes, in memory of their own.
 */
export function drawBytes(length: number): Uint8Array {
  return new Uint8Array(randomBytes(length))
}

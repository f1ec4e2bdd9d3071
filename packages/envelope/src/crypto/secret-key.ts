import { createSecretKey, type KeyObject } from 'node:crypto'

/**
 * A symmetric key outside of the JavaScript heap. Nothing prints its bytes, and Node clears its memory when
 * the object is collected.
 */
export type SecretKey = KeyObject

/**
 * Copies key bytes into a {@link SecretKey}: for keys that are used again. For others see `single-use-key.ts`.
 *
 * @param bytes - Key bytes. They are copied; the caller may clear them.
 * @returns The key.
 */
export function secretKey(bytes: Uint8Array): SecretKey {
  return createSecretKey(bytes)
}

import { createSecretKey, type KeyObject } from 'node:crypto'

/**
 * A symmetric key outside of the JavaScript heap. Nothing prints its bytes, and Node clears its memory when
 * the object is collected.
 */
export type SecretKey = KeyObject

/**
 * Copies key bytes into a {@link SecretKey}. Also worth it for a key used once: on some lines of Node a raw
 * buffer costs several times as much per call to a cipher.
 *
 * @param bytes - Key bytes. They are copied; the caller may clear them.
 * @returns The key.
 */
export function secretKey(bytes: Uint8Array): SecretKey {
  return createSecretKey(bytes)
}

import { createCipheriv } from 'node:crypto'
import { type SecretKey, secretKey } from './secret-key.ts'

/** Each form is tried so often, which takes less than a millisecond; its fastest call counts. */
const TRIES = 16

/**
 * A KeyObject is taken only where it is clearly worth it, so that noise decides nothing. Where bytes are slow they
 * take twice to four times as long, and where they are not they take less.
 */
const CLEARLY = 1.25

let takesKeyObject: boolean | undefined

/**
 * Gives the key of a single call to AES-256-GCM the form in which the running Node takes it fastest. Node 24.21
 * spends more time on looking at the bytes of a key than on encrypting with them; other lines spend that time on
 * making a KeyObject. Which one it is is measured once, at the first call. Both forms give the same results.
 *
 * @param bytes - 32 bytes. They must stay as they are until the cipher has been made.
 * @returns The bytes themselves or a KeyObject of them.
 */
export function singleUseKey(bytes: Uint8Array): Uint8Array | SecretKey {
  takesKeyObject ??= keyObjectIsFaster()
  return takesKeyObject ? secretKey(bytes) : bytes
}

function keyObjectIsFaster(): boolean {
  const bytes = new Uint8Array(32)
  const nonce = new Uint8Array(12)
  const timeOf = (makeKey: () => Uint8Array | SecretKey): number => {
    const start = performance.now()
    createCipheriv('aes-256-gcm', makeKey(), nonce)
    return performance.now() - start
  }
  let fastestBytes = Number.POSITIVE_INFINITY
  let fastestObject = Number.POSITIVE_INFINITY
  for (let attempt = 0; attempt < TRIES; attempt++) {
    fastestBytes = Math.min(
      fastestBytes,
      timeOf(() => bytes),
    )
    fastestObject = Math.min(
      fastestObject,
      timeOf(() => secretKey(bytes)),
    )
  }
  return fastestObject * CLEARLY < fastestBytes
}

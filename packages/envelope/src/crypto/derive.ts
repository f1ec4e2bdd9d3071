import { hash } from 'node:crypto'

/** What one DEK gives for one context. */
export interface DerivedKeys {
  /** 32 bytes: the key of the payload. Secret; clear it after use. */
  readonly encKey: Uint8Array
  /** 32 bytes: commits to the DEK and the context. Public. */
  readonly commit: Uint8Array
}

/** The block of SHA-512 in bytes; HMAC pads its key to it. */
const BLOCK_BYTES = 128
const DIGEST_BYTES = 64
const INNER_PAD = 0x36
const OUTER_PAD = 0x5c

/**
 * What the two hashes are fed with: the padded key, then the message or the inner digest. One pair serves all calls: a call
 * never yields, and takes the key out again before it ends.
 */
const outer = Buffer.allocUnsafeSlow(BLOCK_BYTES + DIGEST_BYTES).fill(OUTER_PAD)
const innerOfUsualLength = Buffer.allocUnsafeSlow(BLOCK_BYTES + 1_024).fill(INNER_PAD)

/**
 * Derives the payload's key and the commitment with one HMAC-SHA-512 (RFC 2104, FIPS 198-1).
 *
 * Made of two one-shot hashes, as RFC 2104 section 2 defines it: an `Hmac` object and a `KeyObject` for a key that is used
 * once cost as much again as the hashing.
 *
 * @param dek - 32 bytes.
 * @param info - The encoded context with its labels.
 * @returns The first and the second half of the 64 bytes.
 */
export function deriveKeys(dek: Uint8Array, info: Uint8Array): DerivedKeys {
  const okm = hmacSha512(dek, info)
  return { encKey: okm.subarray(0, 32), commit: okm.subarray(32, 64) }
}

function hmacSha512(key: Uint8Array, message: Uint8Array): Uint8Array {
  if (key.length > BLOCK_BYTES) return hmacSha512(hash('sha512', key, 'buffer'), message)
  const length = BLOCK_BYTES + message.length
  const inner =
    length <= innerOfUsualLength.length
      ? innerOfUsualLength.subarray(0, length)
      : Buffer.alloc(length, INNER_PAD)
  try {
    for (let index = 0; index < key.length; index += 1) {
      const byte = key[index] as number
      inner[index] = byte ^ INNER_PAD
      outer[index] = byte ^ OUTER_PAD
    }
    inner.set(message, BLOCK_BYTES)
    // One character a byte: a hash that is returned as text costs little more than half of one returned as bytes.
    outer.write(hash('sha512', inner, 'binary'), BLOCK_BYTES, 'binary')
    return hash('sha512', outer, 'buffer')
  } finally {
    // The text of the inner digest stays behind: like the commitment, it cannot be turned back into the key.
    for (let index = 0; index < key.length; index += 1) {
      inner[index] = INNER_PAD
      outer[index] = OUTER_PAD
    }
  }
}

import { createHmac } from 'node:crypto'
import { secretKey } from './secret-key.ts'

/** What one DEK gives for one context. */
export interface DerivedKeys {
  /** 32 bytes: the key of the payload. Secret; clear it after use. */
  readonly encKey: Uint8Array
  /** 32 bytes: commits to the DEK and the context. Public. */
  readonly commit: Uint8Array
}

/**
 * Derives the payload's key and the commitment with one HMAC-SHA-512 (RFC 2104, FIPS 198-1).
 *
 * @param dek - 32 bytes.
 * @param info - The encoded context with its labels.
 * @returns The first and the second half of the 64 bytes.
 */
export function deriveKeys(dek: Uint8Array, info: Uint8Array): DerivedKeys {
  const okm = createHmac('sha512', secretKey(dek)).update(info).digest()
  return { encKey: okm.subarray(0, 32), commit: okm.subarray(32, 64) }
}

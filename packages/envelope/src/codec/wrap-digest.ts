import { encodeHex, utf8 } from '../bytes.ts'
import { sha256 } from '../crypto/digest.ts'

const DIGEST_BYTES = 16

/**
 * Names a wrap text without showing it.
 *
 * @returns The first 16 bytes of its SHA-256 (FIPS 180-4), as 32 hexadecimal digits.
 */
export function wrapDigest(wrap: string): string {
  return encodeHex(sha256(utf8(wrap)), 0, DIGEST_BYTES)
}

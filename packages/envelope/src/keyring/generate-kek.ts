import { encodeBase64url } from '../bytes.ts'
import { drawKey } from '../crypto/random.ts'

/**
 * Generates a KEK in the form that key sources read.
 *
 * What it returns **is the key**: whoever reads it opens every envelope under it. Hand it to your secret
 * manager, never to a log, a ticket or the command history.
 *
 * @returns 43 characters: 32 bytes of the system's generator, base64url without padding.
 */
export function generateKek(): string {
  const bytes = drawKey()
  const text = encodeBase64url(bytes)
  bytes.fill(0)
  return text
}

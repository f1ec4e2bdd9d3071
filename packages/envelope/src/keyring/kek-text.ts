import { decodeBase64url } from '../bytes.ts'
import { KEY_BYTES } from '../crypto/random.ts'
import { SecretBytes } from '../crypto/secret-bytes.ts'
import type { Unreadable } from './kek-file.ts'

/** Length of a KEK as base64url without padding. */
const KEK_TEXT_LENGTH = 43

/** Fewer distinct bytes than this among 32 random ones: once in 2^83 keys. */
const MINIMUM_DISTINCT_BYTES = 12

/**
 * Reads a KEK written as base64url without padding. Faults say what is wrong and how to mend it; none holds
 * the text or a part of it.
 *
 * @param text - The text as configured.
 * @returns The 32 bytes, or every fault of the text.
 */
export function readKekText(text: string): SecretBytes | Unreadable {
  if (text === '') return { faults: ['is empty: give 32 bytes as base64url without padding, or unset it'] }
  const trimmed = text.trim()
  const body = trimmed.replace(/=+$/, '')
  const faults: string[] = []
  if (trimmed !== text) faults.push('has white space around the value: remove it, often a trailing newline')
  if (body !== trimmed) faults.push("has padding: strip the trailing = (for instance with tr -d '=')")
  if (/[^A-Za-z0-9+/_-]/.test(body)) {
    faults.push('has characters outside of base64url: only A-Z, a-z, 0-9, - and _ are allowed')
  } else if (/[+/]/.test(body)) {
    faults.push(
      "is standard base64, not base64url: replace + by - and / by _ (for instance with tr '+/' '-_')",
    )
  }
  if (body.length !== KEK_TEXT_LENGTH) {
    const hint = /^[0-9a-fA-F]{64}$/.test(body)
      ? '; it looks like hexadecimal: encode the 32 bytes as base64url'
      : ''
    faults.push(`has ${body.length} characters: 32 bytes as base64url without padding have 43${hint}`)
  }
  if (faults.length > 0) return { faults }
  const bytes = decodeBase64url(text)
  if (bytes === null) {
    return { faults: ['is not canonical base64url: its last character carries bits that belong to no byte'] }
  }
  const secret = new SecretBytes(bytes)
  bytes.fill(0)
  return secret
}

/**
 * Finds what makes the bytes of a KEK unfit. They cannot be shown to be random; this finds passwords and
 * patterns.
 *
 * @param bytes - The bytes as configured.
 * @returns Every fault, none of which holds the bytes or a part of them.
 */
export function kekByteFaults(bytes: Uint8Array): readonly string[] {
  if (bytes.length !== KEY_BYTES) return [`has ${bytes.length} bytes: a KEK has 32`]
  const weakness = weaknessOf(bytes)
  return weakness === null ? [] : [`${weakness}; use generateKek()`]
}

/**
 * Finds what shows that the bytes of a key were not drawn at random.
 *
 * @param bytes - Any bytes.
 * @returns What is wrong with them, without them or a part of them; `null` when nothing shows.
 */
export function weaknessOf(bytes: Uint8Array): string | null {
  if (bytes.every((byte) => byte >= 0x20 && byte <= 0x7e)) {
    return `is weak: all ${bytes.length} bytes are printable ASCII, so it is text and not a random key`
  }
  if (new Set(bytes).size < MINIMUM_DISTINCT_BYTES) {
    return `is weak: it has fewer than ${MINIMUM_DISTINCT_BYTES} distinct bytes`
  }
  return null
}

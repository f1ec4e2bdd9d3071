import { concat, decodeBase64url, encodeBase64url, utf8 } from '../bytes.ts'
import { sha256 } from '../crypto/digest.ts'
import { drawKey, KEY_BYTES } from '../crypto/random.ts'
import { x25519PublicKey } from '../crypto/x25519.ts'

const CHECK_BYTES = 4

const PREFIXES = { public: 'talos-escrow-public:', private: 'talos-escrow-private:' } as const

/** Which half of a pair a text is. */
export type EscrowKeyKind = keyof typeof PREFIXES

/** What {@link generateEscrowKeyPair} makes. */
export interface EscrowKeyPair {
  /** `talos-escrow-public:` and 48 characters. Seals, and opens nothing: it may be known to everybody. */
  readonly publicKey: string
  /** `talos-escrow-private:` and 48 characters. **Opens every KEK sealed for the public key**: keep it offline. */
  readonly privateKey: string
}

/**
 * Generates the key pair of a recipient: KEKs are sealed for the public key and opened with the private one (X25519).
 *
 * @returns Both keys as text. Each ends in a check, so that a mistyped one is refused instead of sealed for.
 */
export function generateEscrowKeyPair(): EscrowKeyPair {
  const bytes = drawKey()
  const privateKey = formatEscrowKey('private', bytes)
  const publicKey = formatEscrowKey('public', x25519PublicKey(bytes))
  bytes.fill(0)
  return { publicKey, privateKey }
}

/**
 * Writes an escrow key as text.
 *
 * @param kind - Public or private.
 * @param bytes - 32 bytes.
 * @returns `talos-escrow-<kind>:` and base64url of the bytes and their check.
 */
export function formatEscrowKey(kind: EscrowKeyKind, bytes: Uint8Array): string {
  const checked = concat([bytes, checkOf(kind, bytes)])
  const text = PREFIXES[kind] + encodeBase64url(checked)
  checked.fill(0)
  return text
}

/**
 * Reads what {@link formatEscrowKey} wrote.
 *
 * @param kind - Public or private.
 * @param text - The whole text.
 * @returns 32 bytes, or why there are none: without the text or a part of it.
 */
export function readEscrowKey(kind: EscrowKeyKind, text: string): Uint8Array | string {
  const prefix = PREFIXES[kind]
  if (!text.startsWith(prefix)) return `is no ${kind} escrow key: it begins with ${prefix}`
  const checked = decodeBase64url(text.slice(prefix.length))
  if (checked?.length !== KEY_BYTES + CHECK_BYTES) return `has not 48 characters of base64url after ${prefix}`
  const bytes = checked.slice(0, KEY_BYTES)
  const isIntact = checkOf(kind, bytes).every((byte, index) => byte === checked[KEY_BYTES + index])
  checked.fill(0)
  if (isIntact) return bytes
  bytes.fill(0)
  return 'does not match its check: a character is wrong'
}

function checkOf(kind: EscrowKeyKind, bytes: Uint8Array): Uint8Array {
  const message = concat([utf8(PREFIXES[kind]), bytes])
  const check = sha256(message).subarray(0, CHECK_BYTES)
  message.fill(0)
  return check
}

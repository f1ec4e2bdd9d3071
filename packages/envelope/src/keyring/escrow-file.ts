import { decodePublicBase64url, encodeBase64url, encodeHex, utf8 } from '../bytes.ts'
import { NONCE_BYTES, TAG_BYTES } from '../crypto/aead.ts'
import { sha256 } from '../crypto/digest.ts'
import { KEY_BYTES } from '../crypto/random.ts'
import { FormatError } from '../errors.ts'
import { isKekId } from '../format/envelope-v2.ts'
import { formatEscrowKey, readEscrowKey } from './escrow-key.ts'

const BEGIN = '-----BEGIN TALOS SEALED KEK V1-----'
const END = '-----END TALOS SEALED KEK V1-----'

/** Nobody gets to make this read more. A file has 421 at most. */
const MOST_CHARACTERS = 1_024

/** What the memory for scrypt may be: 128, 256 or 512 MiB. A file must not choose freely what reading it costs. */
export const COSTS: readonly number[] = [17, 18, 19]

/** Length of the salt in bytes. */
export const SALT_BYTES = 16

const CHECK_BYTES = 4

/** What a sealed KEK says about itself to everybody. Nothing of it is verified before the file has been opened. */
export interface SealedKekHeader {
  readonly kekId: string
  /** 16 lowercase hexadecimal digits, as in a keyring document. */
  readonly fingerprint: string
  /** RFC 3339 in UTC, to the second: `2026-05-04T10:20:30Z`. */
  readonly sealedAt: string
  /** What opens it: a passphrase, or the private key of a recipient. */
  readonly method: 'passphrase' | 'x25519'
  /** The public key that it is sealed for; `null` for a passphrase. */
  readonly recipient: string | null
}

/** How the key of the file is made. Public keys have 32 bytes, the salt has 16. */
export type Protection =
  | { readonly method: 'passphrase'; readonly costLog2: number; readonly salt: Uint8Array }
  | { readonly method: 'x25519'; readonly recipient: Uint8Array; readonly ephemeral: Uint8Array }

/** A file taken apart. */
export interface SealedKekFile {
  readonly header: SealedKekHeader
  readonly protection: Protection
  /** The lines up to and with the empty one. */
  readonly aad: Uint8Array
  /** 60 bytes: nonce, ciphertext, tag. */
  readonly sealed: Uint8Array
}

/**
 * Writes the lines before the body. They are authenticated as they stand.
 *
 * @returns ASCII text that ends with an empty line.
 */
export function formatHeader(
  { kekId, fingerprint, sealedAt }: Pick<SealedKekHeader, 'kekId' | 'fingerprint' | 'sealedAt'>,
  protection: Protection,
): string {
  const how =
    protection.method === 'passphrase'
      ? [`scrypt: ${formatCost(protection.costLog2)}`, `salt: ${encodeBase64url(protection.salt)}`]
      : [
          `recipient: ${formatEscrowKey('public', protection.recipient)}`,
          `ephemeral: ${encodeBase64url(protection.ephemeral)}`,
        ]
  const about = [`kek-id: ${kekId}`, `fingerprint: ${fingerprint}`, `sealed-at: ${sealedAt}`]
  return [BEGIN, ...about, `method: ${protection.method}`, ...how, '', ''].join('\n')
}

/**
 * Writes the whole file.
 *
 * @param header - What {@link formatHeader} wrote.
 * @param sealed - 60 bytes, made with the header as AAD.
 * @returns ASCII text that ends with a newline.
 */
export function formatFile(header: string, sealed: Uint8Array): string {
  const checked = `${header}${encodeBase64url(sealed)}\n`
  return `${checked}check: ${checkOf(checked)}\n${END}\n`
}

/**
 * Takes a file apart. Each file has exactly one text.
 *
 * @param text - The whole file.
 * @returns Its parts, none of them verified.
 * @throws TypeError when it is no text.
 * @throws FormatError `ERR_ESCROW_MALFORMED`, with the line at fault and never what stands in it.
 */
export function parseFile(text: string): SealedKekFile {
  if (typeof text !== 'string') throw new TypeError('A sealed KEK is text.')
  if (text.length > MOST_CHARACTERS) throw malformed(`it has more than ${MOST_CHARACTERS} characters`)
  if (text.includes('\r')) throw malformed('it has carriage returns: its lines end with a newline alone')
  const lines = text.split('\n')
  let number = 0
  const line = <T>(start: string, read: (rest: string) => T | null): T => {
    const found = lines[number] ?? ''
    number += 1
    const value = found.startsWith(start) ? read(found.slice(start.length)) : null
    if (value !== null) return value
    throw malformed(`line ${number} is not ${start === '' ? 'what it must be' : `"${start}…" as it must be`}`)
  }
  const end = (rest: string): true | null => (rest === '' ? true : null)

  line(BEGIN, end)
  const kekId = line('kek-id: ', (id) => (isKekId(id) ? id : null))
  const fingerprint = line('fingerprint: ', (hex) => (/^[0-9a-f]{16}$/.test(hex) ? hex : null))
  const sealedAt = line('sealed-at: ', (time) => (isTime(time) ? time : null))
  const method = line('method: ', (name) => (name === 'passphrase' || name === 'x25519' ? name : null))
  const protection: Protection =
    method === 'passphrase'
      ? { method, costLog2: line('scrypt: ', readCost), salt: line('salt: ', bytesOf(SALT_BYTES)) }
      : {
          method,
          recipient: line('recipient: ', readRecipient),
          ephemeral: line('ephemeral: ', bytesOf(KEY_BYTES)),
        }
  line('', end)
  const sealed = line('', bytesOf(NONCE_BYTES + KEY_BYTES + TAG_BYTES))
  const check = line('check: ', (hex) => (/^[0-9a-f]{8}$/.test(hex) ? hex : null))
  line(END, end)
  if (lines.length !== number + 1 || lines[number] !== '') {
    throw malformed(`it does not end with one newline after line ${number}`)
  }
  const checked = text.slice(0, text.indexOf('\ncheck: ') + 1)
  if (check !== checkOf(checked)) throw malformed('it does not match its check')

  const aad = utf8(`${lines.slice(0, 8).join('\n')}\n`)
  const recipient = protection.method === 'x25519' ? formatEscrowKey('public', protection.recipient) : null
  return { header: { kekId, fingerprint, sealedAt, method, recipient }, protection, aad, sealed }
}

/**
 * Writes a time as files carry it.
 *
 * @param time - Milliseconds since the epoch.
 * @returns RFC 3339 in UTC, to the second.
 */
export function formatTime(time: number): string {
  return new Date(time).toISOString().replace(/\.\d+Z$/, 'Z')
}

function isTime(text: string): boolean {
  const time = Date.parse(text)
  // Written again, for `Date.parse` takes other spellings and the 30th of February.
  return text.length === 20 && !Number.isNaN(time) && formatTime(time) === text
}

function formatCost(costLog2: number): string {
  return `N=${2 ** costLog2} r=8 p=1`
}

function readCost(text: string): number | null {
  return COSTS.find((costLog2) => formatCost(costLog2) === text) ?? null
}

function readRecipient(text: string): Uint8Array | null {
  const key = readEscrowKey('public', text)
  return typeof key === 'string' ? null : key
}

function bytesOf(length: number): (text: string) => Uint8Array | null {
  return (text) => {
    const bytes = decodePublicBase64url(text)
    return bytes?.length === length ? bytes : null
  }
}

/** Of the bytes before the check: finds what was mistyped, and nobody who meant it. */
function checkOf(text: string): string {
  return encodeHex(sha256(utf8(text)), 0, CHECK_BYTES)
}

function malformed(what: string): FormatError {
  return new FormatError(
    'ERR_ESCROW_MALFORMED',
    `The sealed KEK cannot be read: ${what}. Compare it with the original or take another copy.`,
  )
}

import { concat, decodeBase64url, decodeHex } from '../bytes.ts'
import type { FormatReason } from '../errors.ts'
import { MAX_VALUE_BYTES } from './envelope-v2.ts'

/** The most bytes the text of a Talos v1 envelope may have: a value of 1 MiB as hexadecimal, and 16 KiB besides. */
export const MAX_TALOS_V1_BYTES = 2_113_536

const NONCE_BYTES = 12
const TAG_BYTES = 16
/** In code points. */
const MAX_KEK_ID_LENGTH = 255

/** A Talos v1 envelope that has been read. Nothing of it is verified: that takes the key and the AAD. */
export interface TalosV1Envelope {
  /** Any text of 1 to 255 characters; it may equal the id of a KEK with other bytes. */
  readonly kekId: string
  /** `nonce(12) || ciphertext || tag(16)`. */
  readonly sealed: Uint8Array
  /** The AAD that the envelope carries, to be compared and never to be used; `null` when it carries none. */
  readonly aad: Uint8Array | null
}

/** Why a text is no Talos v1 envelope. */
export interface TalosV1Fault {
  readonly fault: FormatReason
  /** The rule that is violated, in words. Never holds a part of the text. */
  readonly rule: string
}

/** One of the two sets of members, and how bytes are written in it. */
interface Shape {
  readonly nonce: string
  readonly ciphertext: string
  readonly tag: string
  readonly constants: Readonly<Record<string, string>>
  readonly optional: readonly string[]
  readonly encoding: string
  readonly decode: (text: string) => Uint8Array | null
}

const SHAPES: readonly Shape[] = [
  {
    nonce: 'nonce_b64u',
    ciphertext: 'ciphertext_b64u',
    tag: 'tag_b64u',
    constants: {},
    optional: ['aad_b64u'],
    encoding: 'base64url without padding',
    decode: decodeBase64url,
  },
  {
    nonce: 'iv',
    ciphertext: 'ciphertext',
    tag: 'tag',
    constants: { schema_id: 'talos.secrets.envelope', schema_version: 'v1', alg: 'aes-256-gcm' },
    optional: ['created_at'],
    encoding: 'lower-case hexadecimal digits',
    decode: decodeHex,
  },
]

const CREATED_AT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/

/**
 * Reads a Talos v1 envelope: JSON in one of two shapes, each an object of texts with exactly these members.
 *
 * - `kek_id`, `nonce_b64u`, `ciphertext_b64u`, `tag_b64u` and perhaps `aad_b64u`: base64url without padding.
 * - `schema_id`, `schema_version`, `kek_id`, `iv`, `ciphertext`, `tag`, `alg` and perhaps `created_at`: lowercase
 *   hexadecimal.
 *
 * @param text - Any text.
 * @returns The envelope, or the first fault: size (`too_large`), members (`malformed`), another schema or algorithm
 * (`unsupported`), contents (`malformed`, and `too_large` for a value of more than 1 MiB).
 */
export function parseTalosV1(text: string): TalosV1Envelope | TalosV1Fault {
  if (Buffer.byteLength(text, 'utf8') > MAX_TALOS_V1_BYTES) {
    return { fault: 'too_large', rule: `it has at most ${MAX_TALOS_V1_BYTES} bytes` }
  }
  const members = readMembers(text)
  if (members === null) return malformed('it is one JSON object of texts with no member twice')
  const shape = SHAPES.find((candidate) => hasShape(members, candidate))
  if (shape === undefined) return malformed('it has the members of one of the two shapes and no other')
  for (const [name, constant] of Object.entries(shape.constants)) {
    if (members.get(name) !== constant) return { fault: 'unsupported', rule: `${name} is ${constant}` }
  }
  return readContents(members, shape)
}

function readContents(members: ReadonlyMap<string, string>, shape: Shape): TalosV1Envelope | TalosV1Fault {
  const bytesOf = (name: string): Uint8Array | null => shape.decode(members.get(name) ?? '')
  const { encoding } = shape
  const kekId = members.get('kek_id') ?? ''
  if (!isTalosV1KekId(kekId)) return malformed(`kek_id is text of 1 to ${MAX_KEK_ID_LENGTH} characters`)
  const nonce = bytesOf(shape.nonce)
  if (nonce?.length !== NONCE_BYTES) return malformed(`${shape.nonce} is ${NONCE_BYTES} bytes as ${encoding}`)
  const tag = bytesOf(shape.tag)
  if (tag?.length !== TAG_BYTES) return malformed(`${shape.tag} is ${TAG_BYTES} bytes as ${encoding}`)
  const ciphertext = bytesOf(shape.ciphertext)
  if (!ciphertext?.length) return malformed(`${shape.ciphertext} is at least 1 byte as ${encoding}`)
  if (ciphertext.length > MAX_VALUE_BYTES) {
    return { fault: 'too_large', rule: `${shape.ciphertext} has at most ${MAX_VALUE_BYTES} bytes` }
  }
  const createdAt = members.get('created_at')
  if (createdAt !== undefined && !CREATED_AT.test(createdAt)) {
    return malformed('created_at is a time in UTC with milliseconds')
  }
  const carriesAad = members.has('aad_b64u')
  const aad = carriesAad ? bytesOf('aad_b64u') : null
  if (carriesAad && !aad?.length) return malformed(`aad_b64u is at least 1 byte as ${encoding}`)
  return { kekId, sealed: concat([nonce, ciphertext, tag]), aad }
}

/**
 * Tells whether a text may be a KEK id of a Talos v1 envelope.
 *
 * @param text - Any text.
 * @returns Whether it is well-formed and has 1 to 255 characters (code points).
 */
export function isTalosV1KekId(text: string): boolean {
  // A code point has at most two units: a text far too long is not taken apart.
  if (text === '' || text.length > 2 * MAX_KEK_ID_LENGTH || !text.isWellFormed()) return false
  return [...text].length <= MAX_KEK_ID_LENGTH
}

/** The members of a JSON object of texts; `null` for any other text, and for an object with a member twice. */
function readMembers(text: string): ReadonlyMap<string, string> | null {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    // The message of a SyntaxError quotes the text: it is dropped.
    return null
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return null
  const entries = Object.entries(parsed)
  if (!entries.every((entry): entry is [string, string] => typeof entry[1] === 'string')) return null
  // The parser keeps the last of two equal members. Each one that is gone has left its name behind, at least.
  return countTexts(text) === 2 * entries.length ? new Map(entries) : null
}

/** How many texts there are in well-formed JSON, names of members included. */
function countTexts(json: string): number {
  let quotes = 0
  for (let at = 0; at < json.length; at += 1) {
    if (json[at] === '\\') at += 1
    else if (json[at] === '"') quotes += 1
  }
  return quotes / 2
}

function hasShape(members: ReadonlyMap<string, string>, shape: Shape): boolean {
  const { nonce, ciphertext, tag, constants, optional } = shape
  const required = ['kek_id', nonce, ciphertext, tag, ...Object.keys(constants)]
  const known = new Set([...required, ...optional])
  return required.every((name) => members.has(name)) && [...members.keys()].every((name) => known.has(name))
}

function malformed(rule: string): TalosV1Fault {
  return { fault: 'malformed', rule }
}

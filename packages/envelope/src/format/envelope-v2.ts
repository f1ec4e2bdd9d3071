import {
  base64urlLength,
  canonicalBase64urlLength,
  decodePublicBase64url,
  encodeBase64url,
  encodeHex,
} from '../bytes.ts'
import type { FormatReason } from '../errors.ts'

/**
 * How a DEK is wrapped.
 *
 * - `0001`: under a local KEK of 32 bytes, by AES-256-KW.
 * - `0002`: by a key provider, under a key that never leaves it.
 */
export type Suite = '0001' | '0002'

/** The most bytes an envelope's text may have. */
export const MAX_ENVELOPE_BYTES = 1_572_864
/** The most bytes a value may have, whatever the configuration. */
export const MAX_VALUE_BYTES = 1_048_576
/** What sealed bytes have besides the ciphertext: a nonce of 12 and a tag of 16 bytes. */
export const SEALED_OVERHEAD_BYTES = 28

const PREFIX = 'talos:v2:'
const KEK_ID = /^[a-z0-9][a-z0-9_-]{0,31}$/
const SUITE_BYTES: Readonly<Record<Suite, Uint8Array>> = {
  '0001': Uint8Array.of(0, 1),
  '0002': Uint8Array.of(0, 2),
}
const SUITE_LENGTH = 2

/** Lengths of the fields of `wrap` after the suite. */
const FINGERPRINT_BYTES = 8
const COMMIT_BYTES = 32
const COMMIT_START = SUITE_LENGTH + FINGERPRINT_BYTES
const WRAPPED_DEK_START = COMMIT_START + COMMIT_BYTES
const LOCAL_WRAPPED_DEK_BYTES = 40
/** The most bytes of a DEK that a key provider wrapped; it has at least 1. */
export const MAX_REMOTE_WRAPPED_DEK_BYTES = 1_024

/** Where wrap texts are put together: all of it is public, and memory taken anew would cost more than the text. */
const WRAP = Buffer.allocUnsafeSlow(WRAPPED_DEK_START + MAX_REMOTE_WRAPPED_DEK_BYTES)

/** The fields of a wrap text. */
export interface WrapFields {
  readonly kekId: string
  readonly suite: Suite
  /** 16 lowercase hexadecimal digits of `kek_fp` (8 bytes). */
  readonly fingerprint: string
  /** 32 bytes. */
  readonly commit: Uint8Array
  /** 40 bytes in suite 0001, 1 to 1,024 in suite 0002. */
  readonly wrappedDek: Uint8Array
}

/** Why a text is no envelope: the first check that failed. */
export interface FormatFault {
  readonly fault: FormatReason
  /** The KEK id, once the grammar has been checked. */
  readonly kekId: string | null
}

/** A checked envelope in its two stored forms, and its fields. */
export interface ParsedEnvelope {
  readonly fields: WrapFields
  /** The text `talos:v2:<kek_id>:<wrap>`. */
  readonly wrap: string
  /** `nonce(12) || ciphertext || tag(16)`. */
  readonly sealed: Uint8Array
}

/** A checked envelope of which only the wrap text is needed. */
export interface ParsedEnvelopeWrap {
  readonly fields: WrapFields
  /** The sealed bytes as text, checked and not decoded. */
  readonly sealedText: string
}

const TOO_LARGE: FormatFault = { fault: 'too_large', kekId: null }
const OTHER_VERSION: FormatFault = { fault: 'unsupported', kekId: null }
const NO_GRAMMAR: FormatFault = { fault: 'malformed', kekId: null }

/**
 * Tells whether a text may be the id of a KEK: `[a-z0-9][a-z0-9_-]{0,31}`, not ending in `_file`, which
 * environment variables that name a file would be taken for.
 *
 * @param text - Any text.
 * @returns Whether it is one.
 */
export function isKekId(text: string): boolean {
  return KEK_ID.test(text) && !text.endsWith('_file')
}

/**
 * Reads the KEK id of a wrap text, without looking at anything behind it.
 *
 * @param wrap - Any text.
 * @returns The id, or `null` when the text does not begin with `talos:v2:<kek_id>:`.
 */
export function kekIdOfWrap(wrap: string): string | null {
  if (!wrap.startsWith(PREFIX)) return null
  const end = wrap.indexOf(':', PREFIX.length)
  if (end === -1) return null
  const kekId = wrap.slice(PREFIX.length, end)
  return isKekId(kekId) ? kekId : null
}

/**
 * Reads an envelope's text: size, version, grammar and canonical encoding, suite, lengths, in this order.
 *
 * @param text - Any text.
 * @returns The envelope, or the first fault.
 */
export function parseEnvelope(text: string): ParsedEnvelope | FormatFault {
  const parts = splitEnvelope(text)
  if ('fault' in parts) return parts
  const { wrap, sealedText } = parts
  const sealed = decodePublicBase64url(sealedText)
  if (sealed === null) return NO_GRAMMAR
  const fields = readWrap(wrap, sealed.length)
  return 'fault' in fields ? fields : { fields, wrap, sealed }
}

/**
 * Reads an envelope's text with the checks of {@link parseEnvelope}, without taking memory for its sealed bytes.
 *
 * @param text - Any text.
 * @returns The fields, or the first fault.
 */
export function parseEnvelopeWrap(text: string): ParsedEnvelopeWrap | FormatFault {
  const parts = splitEnvelope(text)
  if ('fault' in parts) return parts
  const { wrap, sealedText } = parts
  const sealedLength = canonicalBase64urlLength(sealedText)
  if (sealedLength === null) return NO_GRAMMAR
  const fields = readWrap(wrap, sealedLength)
  return 'fault' in fields ? fields : { fields, sealedText }
}

/**
 * Reads a wrap text on its own, with the checks of {@link parseEnvelope} in the same order.
 *
 * @param wrap - Any text.
 * @param sealedLength - Length of the sealed bytes that belong to it; `null` when they are not at hand, as in
 * a rewrap.
 * @returns The fields, or the first fault.
 */
export function parseWrap(wrap: string, sealedLength: number | null): WrapFields | FormatFault {
  const joinedLength =
    Buffer.byteLength(wrap, 'utf8') + (sealedLength === null ? 0 : 1 + base64urlLength(sealedLength))
  if (joinedLength > MAX_ENVELOPE_BYTES) return TOO_LARGE
  if (!wrap.startsWith(PREFIX)) return OTHER_VERSION
  return readWrap(wrap, sealedLength)
}

/**
 * Writes a wrap text.
 *
 * @param fields - Fields of the right lengths.
 * @returns `talos:v2:<kek_id>:<wrap>`.
 */
export function serialiseWrap(fields: WrapFields): string {
  const { kekId, suite, fingerprint, commit, wrappedDek } = fields
  WRAP.set(SUITE_BYTES[suite])
  WRAP.write(fingerprint, SUITE_LENGTH, 'hex')
  WRAP.set(commit, COMMIT_START)
  WRAP.set(wrappedDek, WRAPPED_DEK_START)
  return `${PREFIX}${kekId}:${WRAP.toString('base64url', 0, WRAPPED_DEK_START + wrappedDek.length)}`
}

/**
 * Joins the two stored forms.
 *
 * @param wrap - The wrap text.
 * @param sealed - The sealed bytes.
 * @returns The envelope's text.
 */
export function joinEnvelope(wrap: string, sealed: Uint8Array): string {
  return `${wrap}:${encodeBase64url(sealed)}`
}

/** The two forms of an envelope whose size and version are right, neither of them looked at. */
function splitEnvelope(text: string): { readonly wrap: string; readonly sealedText: string } | FormatFault {
  if (Buffer.byteLength(text, 'utf8') > MAX_ENVELOPE_BYTES) return TOO_LARGE
  if (!text.startsWith(PREFIX)) return OTHER_VERSION
  const kekIdEnd = text.indexOf(':', PREFIX.length)
  const wrapEnd = kekIdEnd === -1 ? -1 : text.indexOf(':', kekIdEnd + 1)
  if (wrapEnd === -1) return NO_GRAMMAR
  return { wrap: text.slice(0, wrapEnd), sealedText: text.slice(wrapEnd + 1) }
}

function readWrap(wrap: string, sealedLength: number | null): WrapFields | FormatFault {
  const kekId = kekIdOfWrap(wrap)
  if (kekId === null) return NO_GRAMMAR
  const bytes = decodePublicBase64url(wrap.slice(PREFIX.length + kekId.length + 1))
  if (bytes === null || bytes.length < SUITE_LENGTH) return NO_GRAMMAR
  return readFields(kekId, bytes, sealedLength)
}

function readFields(kekId: string, bytes: Uint8Array, sealedLength: number | null): WrapFields | FormatFault {
  const suite = suiteOf(bytes)
  if (suite === null) return { fault: 'unsupported', kekId }
  const wrappedDekLength = bytes.length - WRAPPED_DEK_START
  if (
    !isWrappedDekLength(suite, wrappedDekLength) ||
    (sealedLength !== null && !isSealedLength(sealedLength))
  ) {
    return { fault: 'malformed', kekId }
  }
  return {
    kekId,
    suite,
    fingerprint: encodeHex(bytes, SUITE_LENGTH, COMMIT_START),
    commit: bytes.subarray(COMMIT_START, WRAPPED_DEK_START),
    wrappedDek: bytes.subarray(WRAPPED_DEK_START),
  }
}

function suiteOf(bytes: Uint8Array): Suite | null {
  if (bytes[0] !== 0) return null
  return bytes[1] === 1 ? '0001' : bytes[1] === 2 ? '0002' : null
}

function isWrappedDekLength(suite: Suite, length: number): boolean {
  return suite === '0001'
    ? length === LOCAL_WRAPPED_DEK_BYTES
    : length >= 1 && length <= MAX_REMOTE_WRAPPED_DEK_BYTES
}

function isSealedLength(length: number): boolean {
  return length >= SEALED_OVERHEAD_BYTES && length <= MAX_VALUE_BYTES + SEALED_OVERHEAD_BYTES
}

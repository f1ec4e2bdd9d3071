import { base64urlLength, concat, decodeBase64url, encodeBase64url, encodeHex } from '../bytes.ts'
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
const WRAPPED_DEK_START = SUITE_LENGTH + FINGERPRINT_BYTES + COMMIT_BYTES
const LOCAL_WRAPPED_DEK_BYTES = 40
/** The most bytes of a DEK that a key provider wrapped; it has at least 1. */
export const MAX_REMOTE_WRAPPED_DEK_BYTES = 1_024

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
  if (Buffer.byteLength(text, 'utf8') > MAX_ENVELOPE_BYTES) return TOO_LARGE
  if (!text.startsWith(PREFIX)) return OTHER_VERSION
  const lastColon = text.lastIndexOf(':')
  const wrap = text.slice(0, lastColon)
  const wrapPart = splitWrap(wrap)
  const sealed = decodeBase64url(text.slice(lastColon + 1))
  if (wrapPart === null || sealed === null) return NO_GRAMMAR
  const fields = readFields(wrapPart.kekId, wrapPart.bytes, sealed.length)
  return 'fault' in fields ? fields : { fields, wrap, sealed }
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
  const wrapPart = splitWrap(wrap)
  if (wrapPart === null) return NO_GRAMMAR
  return readFields(wrapPart.kekId, wrapPart.bytes, sealedLength)
}

/**
 * Writes a wrap text.
 *
 * @param fields - Fields of the right lengths.
 * @returns `talos:v2:<kek_id>:<wrap>`.
 */
export function serialiseWrap(fields: WrapFields): string {
  const fingerprint = Buffer.from(fields.fingerprint, 'hex')
  const bytes = concat([SUITE_BYTES[fields.suite], fingerprint, fields.commit, fields.wrappedDek])
  return `${PREFIX}${fields.kekId}:${encodeBase64url(bytes)}`
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

/** The id and the bytes of `wrap`, which hold at least the suite; `null` when the grammar is violated. */
function splitWrap(wrap: string): { readonly kekId: string; readonly bytes: Uint8Array } | null {
  const kekId = kekIdOfWrap(wrap)
  if (kekId === null) return null
  const bytes = decodeBase64url(wrap.slice(PREFIX.length + kekId.length + 1))
  return bytes === null || bytes.length < SUITE_LENGTH ? null : { kekId, bytes }
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
  const commitStart = SUITE_LENGTH + FINGERPRINT_BYTES
  return {
    kekId,
    suite,
    fingerprint: encodeHex(bytes.subarray(SUITE_LENGTH, commitStart)),
    commit: bytes.subarray(commitStart, WRAPPED_DEK_START),
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

import { concat, u32, utf8 } from '../bytes.ts'

/** The most pairs an encryption context may have. */
export const MAX_CONTEXT_PAIRS = 16
/** The most bytes of UTF-8 a key of a context may have. */
export const MAX_CONTEXT_KEY_BYTES = 128
/** The most bytes of UTF-8 a value of a context may have. */
export const MAX_CONTEXT_VALUE_BYTES = 4096
/** The most bytes of UTF-8 all keys and values of a context may have together. */
export const MAX_CONTEXT_BYTES = 8192

/**
 * Most texts of contexts are ASCII and no longer than this. Looking at their characters takes less time than the calls
 * into the engine that it saves; rewraps of many values encode little else.
 */
const SHORT_CHARACTERS = 64

declare const encoded: unique symbol

/**
 * An encryption context as bytes, made by {@link encodeContext}: the message of the HMAC that derives the
 * payload's key and the additional authenticated data of the payload.
 */
export type EncodedContext = Uint8Array & { readonly [encoded]: true }

/** How the payload is made: HMAC-SHA-512 and AES-256-GCM. */
const DATA_SUITE = Uint8Array.of(0, 1)

/** The parts of `info` before the pairs: they keep this use of a DEK apart from every other. */
const LABELS = [utf8('talos-envelope'), utf8('v2'), DATA_SUITE, utf8('data')]

/** `info` up to its last part: everything but the length of the pairs' encoding and the encoding itself. */
const INFO_START = concat([u32(LABELS.length + 1), ...LABELS.flatMap((label) => [u32(label.length), label])])

/**
 * Checks and encodes an encryption context.
 *
 * @param pairs - 1 to 16 pairs of text: keys of 1 to 128 bytes of UTF-8, values of 0 to 4,096, together at
 * most 8,192; well-formed, without U+0000, not normalised. Only own enumerable properties exist, so an object
 * that hides some (a `Map`, symbols, inherited members) is refused instead of being bound to less than it
 * seems to say.
 * @returns The bytes `info = PAE("talos-envelope", "v2", 00 01, "data", PAE(k1, v1, k2, v2, ...))` with
 * `PAE(p1 .. pn) = u32(n) || for each part: u32(length) || bytes`, integers big-endian.
 * @throws TypeError that names the rule, never a key or value.
 */
export function encodeContext(pairs: Readonly<Record<string, string>>): EncodedContext {
  const keys = keysOf(pairs)
  if (keys.length === 0 || keys.length > MAX_CONTEXT_PAIRS) {
    throw new TypeError(
      `An encryption context holds 1 to ${MAX_CONTEXT_PAIRS} pairs, this one ${keys.length}.`,
    )
  }
  const texts: string[] = []
  let total = 0
  sortUtf8(keys)
  for (const key of keys) {
    // Read once: a getter could give something else the second time.
    const value: unknown = pairs[key]
    total += checkedLength(key, 'key', 1, MAX_CONTEXT_KEY_BYTES)
    total += checkedLength(value, 'value', 0, MAX_CONTEXT_VALUE_BYTES)
    texts.push(key, value as string)
  }
  if (total > MAX_CONTEXT_BYTES) {
    throw new TypeError(
      `The keys and values of an encryption context are together at most ${MAX_CONTEXT_BYTES} bytes of UTF-8, ` +
        `these are ${total}.`,
    )
  }
  return writeInfo(texts, total)
}

function writeInfo(texts: readonly string[], total: number): EncodedContext {
  const pairsLength = 4 + texts.length * 4 + total
  // A context is no secret, so it may come from the pool.
  const info = Buffer.allocUnsafe(INFO_START.length + 4 + pairsLength)
  info.set(INFO_START)
  let offset = info.writeUInt32BE(pairsLength, INFO_START.length)
  offset = info.writeUInt32BE(texts.length, offset)
  for (const text of texts) {
    const length = writeUtf8(info, offset + 4, text)
    info.writeUInt32BE(length, offset)
    offset += 4 + length
  }
  return new Uint8Array(info.buffer, info.byteOffset, info.length) as EncodedContext
}

/** Returns the number of bytes written. */
function writeUtf8(bytes: Buffer, offset: number, text: string): number {
  if (!isShortAscii(text)) return bytes.write(text, offset, 'utf8')
  for (let index = 0; index < text.length; index++) bytes[offset + index] = text.charCodeAt(index)
  return text.length
}

/** Whether a text is short, ASCII and without U+0000: it is well-formed then, and has as many bytes as characters. */
function isShortAscii(text: string): boolean {
  if (text.length > SHORT_CHARACTERS) return false
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit === 0 || unit > 0x7f) return false
  }
  return true
}

/** By insertion: the keys are few, and `sort()` takes memory for every context. */
function sortUtf8(keys: string[]): void {
  for (let sorted = 1; sorted < keys.length; sorted++) {
    const key = keys[sorted] as string
    let at = sorted
    for (; at > 0 && compareUtf8(keys[at - 1] as string, key) > 0; at--) keys[at] = keys[at - 1] as string
    keys[at] = key
  }
}

/**
 * Orders well-formed texts by their UTF-8 bytes, which is the order of code points. The order of UTF-16
 * units, in which `<` and `sort()` compare, differs: it puts U+10000 before U+E000.
 */
function compareUtf8(left: string, right: string): number {
  let index = 0
  while (index < left.length && left.charCodeAt(index) === right.charCodeAt(index)) index += 1
  const leftUnit = left.charCodeAt(index)
  const rightUnit = right.charCodeAt(index)
  // One text begins with the other one.
  if (Number.isNaN(leftUnit) || Number.isNaN(rightUnit)) return left.length - right.length
  const leftIsSurrogate = isSurrogate(leftUnit)
  return leftIsSurrogate === isSurrogate(rightUnit) ? leftUnit - rightUnit : leftIsSurrogate ? 1 : -1
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff
}

function keysOf(pairs: unknown): string[] {
  if (typeof pairs !== 'object' || pairs === null || Array.isArray(pairs) || !hasPlainPrototype(pairs)) {
    throw new TypeError('An encryption context must be a plain object of texts.')
  }
  const keys = Object.keys(pairs)
  const names = Object.getOwnPropertyNames(pairs)
  if (names.length !== keys.length || Object.getOwnPropertySymbols(pairs).length > 0) {
    throw new TypeError(
      'An encryption context must not have symbol keys or properties that are not enumerable.',
    )
  }
  return keys
}

/**
 * Another realm (a `vm` context, some test runners) has an `Object.prototype` of its own: recognised by its
 * place.
 */
function hasPlainPrototype(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function checkedLength(text: unknown, what: 'key' | 'value', minimum: number, maximum: number): number {
  if (typeof text !== 'string') throw new TypeError(`A ${what} of an encryption context must be text.`)
  const length = isShortAscii(text) ? text.length : checkedUtf8Length(text, what)
  if (length < minimum || length > maximum) {
    throw new TypeError(
      `A ${what} of an encryption context is ${minimum} to ${maximum} bytes of UTF-8, this one ${length}.`,
    )
  }
  return length
}

function checkedUtf8Length(text: string, what: 'key' | 'value'): number {
  if (!text.isWellFormed()) {
    throw new TypeError(
      `A ${what} of an encryption context must be well-formed Unicode: it holds a lone surrogate.`,
    )
  }
  if (text.includes('\0')) throw new TypeError(`A ${what} of an encryption context must not hold U+0000.`)
  return Buffer.byteLength(text, 'utf8')
}

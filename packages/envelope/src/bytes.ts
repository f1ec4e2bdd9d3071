/** What {@link canonicalBase64urlLength} works on at a time. */
const PART_CHARACTERS = 4_096
const PART = Buffer.allocUnsafeSlow((PART_CHARACTERS / 4) * 3)

/**
 * Encodes text as UTF-8.
 *
 * @param text - Well-formed Unicode. It is not normalised.
 * @returns The bytes, in memory of their own: Node's shared pool would keep a secret among unrelated bytes.
 * @throws TypeError when the text holds a lone surrogate, which UTF-8 cannot express and encoders silently
 * replace.
 */
export function utf8(text: string): Uint8Array {
  if (!text.isWellFormed())
    throw new TypeError('Text must be well-formed Unicode: it holds a lone surrogate.')
  const bytes = ownMemory(Buffer.byteLength(text, 'utf8'))
  bytes.write(text, 'utf8')
  return asUint8Array(bytes)
}

/**
 * Encodes bytes as base64url without padding (RFC 4648 section 5).
 *
 * @param bytes - Any number of bytes.
 * @returns Text of `ceil(4 * bytes.length / 3)` characters.
 */
export function encodeBase64url(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('base64url')
}

/**
 * Decodes canonical base64url without padding.
 *
 * Node's decoder takes padding, `+` and `/`, white space and stray trailing bits; so that every byte string
 * has exactly one text, the result is encoded again and compared.
 *
 * @param text - The whole text, not a part of it.
 * @returns The bytes, in memory of their own, or `null` when the text is not the one encoding of any bytes.
 */
export function decodeBase64url(text: string): Uint8Array | null {
  const bytes = ownMemory(Math.floor((text.length * 3) / 4))
  const written = bytes.write(text, 'base64url')
  if (written !== bytes.length || bytes.toString('base64url') !== text) return null
  return asUint8Array(bytes)
}

/**
 * Does what {@link decodeBase64url} does, for bytes that are not secret.
 *
 * @param text - The whole text, not a part of it.
 * @returns The bytes, maybe in memory that Node shares among short byte strings: taking memory of its own for each costs
 * more than all else that is done to a wrap text.
 */
export function decodePublicBase64url(text: string): Uint8Array | null {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? asUint8Array(bytes) : null
}

/**
 * Checks text as {@link decodeBase64url} does, without keeping the bytes.
 *
 * @param text - The whole text, not a part of it.
 * @returns How many bytes it stands for, or `null` when it is not the one encoding of any bytes.
 */
export function canonicalBase64urlLength(text: string): number | null {
  let length = 0
  // In parts of whole groups of four characters: each of them is canonical, or the text is not.
  for (let start = 0; start < text.length; start += PART_CHARACTERS) {
    const part = text.slice(start, start + PART_CHARACTERS)
    const written = PART.write(part, 'base64url')
    if (PART.toString('base64url', 0, written) !== part) return null
    length += written
  }
  return length
}

/**
 * Tells how many characters {@link encodeBase64url} makes of so many bytes.
 *
 * @param length - A number of bytes.
 * @returns A number of characters.
 */
export function base64urlLength(length: number): number {
  return Math.ceil((length * 4) / 3)
}

/**
 * Joins byte strings.
 *
 * @param parts - The parts, in order.
 * @returns A copy of all parts, in memory of its own.
 */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const joined = new Uint8Array(length)
  let offset = 0
  for (const part of parts) {
    joined.set(part, offset)
    offset += part.length
  }
  return joined
}

/**
 * Encodes an integer as four bytes, big-endian.
 *
 * @param value - An integer from 0 to 2^32 - 1.
 * @returns 4 bytes.
 */
export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}

/**
 * Encodes bytes as lowercase hexadecimal.
 *
 * @param bytes - Any number of bytes.
 * @param start - The first byte to encode.
 * @param end - The byte after the last one to encode.
 * @returns Two digits per byte.
 */
export function encodeHex(bytes: Uint8Array, start = 0, end: number = bytes.length): string {
  return asBuffer(bytes).toString('hex', start, end)
}

/**
 * Decodes lowercase hexadecimal.
 *
 * Node's decoder takes upper case and silently stops at the first character that is no digit.
 *
 * @param text - The whole text, not a part of it.
 * @returns The bytes, in memory of their own, or `null` when the text is not what {@link encodeHex} makes of any
 * bytes.
 */
export function decodeHex(text: string): Uint8Array | null {
  if (text.length % 2 !== 0 || /[^0-9a-f]/.test(text)) return null
  const bytes = ownMemory(text.length / 2)
  bytes.write(text, 'hex')
  return asUint8Array(bytes)
}

/** Never `Buffer.from(text)`: that takes memory from a pool which other bytes of the process share. */
function ownMemory(length: number): Buffer {
  return Buffer.allocUnsafeSlow(length)
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}

/**
 * A view without `Buffer`'s methods: its `slice`, `toString` and `toJSON` are not those of other byte arrays.
 */
function asUint8Array(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length)
}

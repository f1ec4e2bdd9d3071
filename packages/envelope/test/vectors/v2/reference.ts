/**
 * The format once more, written from `docs/reference/format.md` alone. It shares no cryptography, no
 * encoding and no check with `src/`, so that an error in one of the two shows as a difference between them.
 */
import { createCipheriv, createDecipheriv, createHash, createHmac } from 'node:crypto'

/** A map of text to text in any order; a list, because the file of vectors writes it so. */
export type Pairs = readonly (readonly [key: string, value: string])[]

/** A KEK of suite 0001. */
export interface LocalKek {
  readonly id: string
  readonly suite: '0001'
  /** 32 bytes as hexadecimal. */
  readonly bytes: string
  /** Absent: it may. */
  readonly mayOpen?: boolean
}

/** A KEK of suite 0002, with a table in place of its provider. */
export interface RemoteKek {
  readonly id: string
  readonly suite: '0002'
  readonly provider: string
  readonly key: string
  /** Wrapped DEKs with what the provider unwraps them to, as hexadecimal. */
  readonly unwraps: readonly (readonly [wrappedDek: string, dek: string])[]
  readonly mayOpen?: boolean
}

export type ReferenceKek = LocalKek | RemoteKek

/** What one envelope is made of. */
export interface Ingredients {
  readonly kek: ReferenceKek
  readonly dek: Buffer
  readonly nonce: Buffer
  readonly context: Pairs
  readonly value: Uint8Array
}

export type Answer<T> = { readonly value: T } | { readonly refused: string }

interface Opened {
  readonly dek: Buffer
  readonly encKey: Buffer
  readonly info: Buffer
  readonly commit: Buffer
  readonly sealed: Buffer
}

const FINGERPRINTED = createHash('sha256').update('talos-envelope/v2 kek-fingerprint').digest()
const KW_INITIAL_VALUE = Buffer.from('A6A6A6A6A6A6A6A6', 'hex')

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export function pae(parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([u32(parts.length), ...parts.flatMap((part) => [u32(part.length), part])])
}

/** The encoded context; `compare` and `data` are other ones in vectors that were made wrongly on purpose. */
export function infoOf(context: Pairs, compare = Buffer.compare, data = '0001'): Buffer {
  const pairs = context.map(([key, value]) => [Buffer.from(key), Buffer.from(value)] as const)
  pairs.sort(([left], [right]) => compare(left, right))
  const labels = [
    Buffer.from('talos-envelope'),
    Buffer.from('v2'),
    Buffer.from(data, 'hex'),
    Buffer.from('data'),
  ]
  return pae([...labels, pae(pairs.flat())])
}

export function wrapKey(kek: string, dek: Uint8Array, initialValue = KW_INITIAL_VALUE): Buffer {
  const cipher = createCipheriv('id-aes256-wrap', Buffer.from(kek, 'hex'), initialValue)
  return Buffer.concat([cipher.update(dek), cipher.final()])
}

function unwrapKey(kek: ReferenceKek, wrapped: Buffer): Buffer | null {
  if (kek.suite === '0002') {
    const found = kek.unwraps.find(([each]) => each === wrapped.toString('hex'))
    const dek = Buffer.from(found?.[1] ?? '', 'hex')
    return dek.length === 32 ? dek : null
  }
  const decipher = createDecipheriv('id-aes256-wrap', Buffer.from(kek.bytes, 'hex'), KW_INITIAL_VALUE)
  try {
    return Buffer.concat([decipher.update(wrapped), decipher.final()])
  } catch {
    return null
  }
}

/** The provider's answer to a DEK: what its table unwraps to it. */
function wrapRemotely(kek: RemoteKek, dek: Buffer): Buffer {
  const found = kek.unwraps.find(([, unwrapped]) => unwrapped === dek.toString('hex'))
  if (found === undefined) throw new Error(`The table of ${kek.id} has no such DEK.`)
  return Buffer.from(found[0], 'hex')
}

export function fingerprintOf(kek: ReferenceKek): Buffer {
  if (kek.suite === '0001') return wrapKey(kek.bytes, FINGERPRINTED).subarray(0, 8)
  const parts = ['talos-envelope', 'v2', 'kek-fingerprint', kek.provider, kek.key]
  const encoded = pae(parts.map((part) => Buffer.from(part)))
  return createHash('sha256').update(encoded).digest().subarray(0, 8)
}

export function deriveKeys(dek: Uint8Array, info: Uint8Array): { encKey: Buffer; commit: Buffer } {
  const okm = createHmac('sha512', dek).update(info).digest()
  return { encKey: okm.subarray(0, 32), commit: okm.subarray(32) }
}

export function seal(encKey: Buffer, nonce: Buffer, info: Buffer, value: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-gcm', encKey, nonce)
  cipher.setAAD(info)
  return Buffer.concat([nonce, cipher.update(value), cipher.final(), cipher.getAuthTag()])
}

export function wrapText(kek: ReferenceKek, dek: Buffer, commit: Buffer): string {
  const wrapped = kek.suite === '0001' ? wrapKey(kek.bytes, dek) : wrapRemotely(kek, dek)
  const wrap = Buffer.concat([Buffer.from(kek.suite, 'hex'), fingerprintOf(kek), commit, wrapped])
  return `talos:v2:${kek.id}:${wrap.toString('base64url')}`
}

export function write({ kek, dek, nonce, context, value }: Ingredients): string {
  const info = infoOf(context)
  const { encKey, commit } = deriveKeys(dek, info)
  return `${wrapText(kek, dek, commit)}:${seal(encKey, nonce, info, value).toString('base64url')}`
}

function isMisuse(context: Pairs): boolean {
  const texts = context.flat()
  const bytes = (text: string): number => Buffer.byteLength(text)
  return (
    context.length < 1 ||
    context.length > 16 ||
    new Set(context.map(([key]) => key)).size < context.length ||
    context.some(([key, value]) => key === '' || bytes(key) > 128 || bytes(value) > 4096) ||
    texts.reduce((sum, text) => sum + bytes(text), 0) > 8192 ||
    texts.some((text) =>
      /\0|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text),
    )
  )
}

function decode(text: string): Buffer | null {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) return null
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : null
}

/** Checks 1 to 10, in their order. */
function openWrap(keks: readonly ReferenceKek[], text: string, context: Pairs): Opened | string {
  if (Buffer.byteLength(text) > 1_572_864) return 'too_large'
  if (text.slice(0, 9) !== 'talos:v2:') return 'unsupported'
  const parts = text.slice(9).split(':')
  const [id = '', wrap, sealed] = [parts[0], decode(parts[1] ?? ''), decode(parts[2] ?? '')]
  if (parts.length !== 3 || !/^[a-z0-9][a-z0-9_-]{0,31}$/.test(id) || /_file$/.test(id)) return 'malformed'
  if (wrap === null || sealed === null || wrap.length < 2) return 'malformed'
  const suite = wrap.toString('hex', 0, 2)
  if (suite !== '0001' && suite !== '0002') return 'unsupported'
  const [shortest, longest] = suite === '0001' ? [82, 82] : [43, 1066]
  if (wrap.length < shortest || wrap.length > longest) return 'malformed'
  if (sealed.length < 28 || sealed.length > 1_048_604) return 'malformed'
  const kek = keks.find((each) => each.id === id)
  if (kek === undefined) return 'kek_unknown'
  if (kek.mayOpen === false || kek.suite !== suite) return 'kek_not_allowed'
  if (!fingerprintOf(kek).equals(wrap.subarray(2, 10))) return 'kek_mismatch'
  const dek = unwrapKey(kek, wrap.subarray(42))
  if (dek === null) return 'wrap_corrupt'
  const info = infoOf(context)
  const { encKey, commit } = deriveKeys(dek, info)
  return commit.equals(wrap.subarray(10, 42)) ? { dek, encKey, info, commit, sealed } : 'commitment_mismatch'
}

/** Opens an envelope. */
export function read(keks: readonly ReferenceKek[], text: string, context: Pairs): Answer<Buffer> {
  if (isMisuse(context)) return { refused: 'misuse' }
  const opened = openWrap(keks, text, context)
  if (typeof opened === 'string') return { refused: opened }
  const { encKey, info, sealed } = opened
  const decipher = createDecipheriv('aes-256-gcm', encKey, sealed.subarray(0, 12), { authTagLength: 16 })
  decipher.setAAD(info).setAuthTag(sealed.subarray(-16))
  try {
    return { value: Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]) }
  } catch {
    return { refused: 'payload_corrupt' }
  }
}

/** Moves an envelope under another KEK. */
export function rewrap(
  keks: readonly ReferenceKek[],
  text: string,
  context: Pairs,
  target: string,
): Answer<string> {
  if (isMisuse(context)) return { refused: 'misuse' }
  const opened = openWrap(keks, text, context)
  if (typeof opened === 'string') return { refused: opened }
  const kek = keks.find(({ id }) => id === target)
  if (kek === undefined) throw new Error(`There is no KEK ${target}.`)
  return { value: wrapText(kek, opened.dek, opened.commit) + text.slice(text.lastIndexOf(':')) }
}

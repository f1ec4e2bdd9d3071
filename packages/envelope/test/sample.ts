import { wrapValue } from '../src/codec/wrap.ts'
import { encodeContext } from '../src/format/context.ts'
import { createKek, type LocalKek } from '../src/keyring/kek.ts'

/** Bytes that count up from `start`. */
export function counting(start: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (start + index) & 0xff)
}

export function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes)
}

/** The known answer of the format: every byte of it is fixed. */
export const KNOWN = {
  kekBytes: counting(0x00, 32),
  dek: counting(0x20, 32),
  nonce: counting(0x40, 12),
  context: { name: 'openai/prod', namespace: 'gateway', z: '1', é: '' },
  value: 'sk-live-example',
  fingerprint: 'a4bfc5f3914ad6bc',
  commit: 'cd4537078e6b7128ed2a42b859e2865b1df42dbf4f6bb82fa4b7d795a9144763',
  envelope:
    'talos:v2:v1:AAGkv8XzkUrWvM1FNweOa3Eo7SpCuFnihlsd9C2_T2u4L6S315WpFEdjBPijw8MC07C36UsU3Pha0dppzXQFbteQfTy0n7J3' +
    'maQQTbBY8pAa2w:QEFCQ0RFRkdISUpLDs9btJj5KWhJRj8_IYJUH_rIv_i4XyObRKyC_bANaw',
} as const

export const V1: LocalKek = createKek('v1', KNOWN.kekBytes)
export const V2: LocalKek = createKek('v2', counting(0x80, 32))

export function resolve(kekId: string): LocalKek | null {
  return [V1, V2].find((kek) => kek.id === kekId) ?? null
}

/** An envelope taken apart into what an attacker can change on its own. */
export interface Parts {
  readonly prefix: string
  readonly kekId: string
  readonly wrap: Uint8Array
  readonly sealed: Uint8Array
}

export function partsOf(envelope: string): Parts {
  const [product, version, kekId = '', wrap = '', sealed = ''] = envelope.split(':')
  return {
    prefix: `${product}:${version}:`,
    kekId,
    wrap: new Uint8Array(Buffer.from(wrap, 'base64url')),
    sealed: new Uint8Array(Buffer.from(sealed, 'base64url')),
  }
}

export function joinParts({ prefix, kekId, wrap, sealed }: Parts): string {
  return `${prefix}${kekId}:${Buffer.from(wrap).toString('base64url')}:${Buffer.from(sealed).toString('base64url')}`
}

export function flipBit(bytes: Uint8Array, bit: number): Uint8Array {
  const flipped = bytes.slice()
  flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return flipped
}

/** The wrap text of a fresh envelope. */
export function freshWrap(kek: LocalKek, context: Readonly<Record<string, string>>): string {
  return wrapValue(kek, Uint8Array.of(1, 2, 3), encodeContext(context)).wrap
}

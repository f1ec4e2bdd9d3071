import { seal } from '../crypto/aead.ts'
import { deriveKeys } from '../crypto/derive.ts'
import { drawValueRandomness } from '../crypto/random.ts'
import { FormatError } from '../errors.ts'
import type { EncodedContext } from '../format/context.ts'
import { MAX_VALUE_BYTES, serialiseWrap } from '../format/envelope-v2.ts'
import { type Kek, type LocalKek, wrapKey } from '../keyring/kek.ts'
import type { ProviderCallOptions } from '../keyring/key-provider.ts'
import { type RemoteKek, wrapKeyRemotely } from '../keyring/remote-kek.ts'

/** The two forms in which stores keep an envelope. */
export interface WrappedValue {
  /** The wrap text `talos:v2:<kek_id>:<wrap>`. */
  readonly wrap: string
  /** `nonce(12) || ciphertext || tag(16)`: 28 bytes more than the value. */
  readonly sealed: Uint8Array
}

/**
 * Wraps a value under a fresh DEK.
 *
 * @param kek - The KEK to wrap the DEK under. Whether it may be used for that is the caller's to know.
 * @param value - At most 1 MiB; text must be well-formed.
 * @param context - The whole encryption context.
 * @param options - When to give up a key provider.
 * @returns The envelope in its two forms, at once under a local KEK. No two calls give the same wrap text.
 * @throws FormatError `ERR_VALUE_TOO_LARGE`.
 * @throws ProviderError `ERR_KEY_PROVIDER_…`.
 */
export function wrapValue(kek: LocalKek, value: string | Uint8Array, context: EncodedContext): WrappedValue
export function wrapValue(
  kek: Kek,
  value: string | Uint8Array,
  context: EncodedContext,
  options?: ProviderCallOptions,
): WrappedValue | Promise<WrappedValue>
export function wrapValue(
  kek: Kek,
  value: string | Uint8Array,
  context: EncodedContext,
  options: ProviderCallOptions = {},
): WrappedValue | Promise<WrappedValue> {
  checkValueSize(lengthOf(value), MAX_VALUE_BYTES)
  if (kek.suite === '0002') return wrapRemotely(kek, value, context, options)
  const { dek, nonce } = drawValueRandomness()
  try {
    return sealWith(kek, dek, nonce, value, context)
  } finally {
    dek.fill(0)
  }
}

/**
 * Wraps a value under a given DEK and nonce. For known answers only: a DEK or nonce used twice gives away
 * both values.
 *
 * @internal
 * @param kek - The KEK.
 * @param dek - 32 bytes.
 * @param nonce - 12 bytes.
 * @param value - At most 1 MiB, checked by the caller.
 * @param context - The whole encryption context.
 * @returns The envelope in its two forms.
 */
export function sealWith(
  kek: LocalKek,
  dek: Uint8Array,
  nonce: Uint8Array,
  value: string | Uint8Array,
  context: EncodedContext,
): WrappedValue {
  const { encKey, commit } = deriveKeys(dek, context)
  try {
    const { id: kekId, suite, fingerprint } = kek
    const wrap = serialiseWrap({ kekId, suite, fingerprint, commit, wrappedDek: wrapKey(kek, dek) })
    return { wrap, sealed: seal(encKey, nonce, context, value) }
  } finally {
    encKey.fill(0)
  }
}

async function wrapRemotely(
  kek: RemoteKek,
  value: string | Uint8Array,
  context: EncodedContext,
  options: ProviderCallOptions,
): Promise<WrappedValue> {
  const { dek, nonce } = drawValueRandomness()
  try {
    const { encKey, commit } = deriveKeys(dek, context)
    // Sealed before the provider is waited for: the caller's bytes are read now, and the payload's key is gone.
    const sealed = seal(encKey, nonce, context, value)
    encKey.fill(0)
    const wrappedDek = await wrapKeyRemotely(kek, dek, options)
    const { id: kekId, suite, fingerprint } = kek
    return { wrap: serialiseWrap({ kekId, suite, fingerprint, commit, wrappedDek }), sealed }
  } finally {
    dek.fill(0)
  }
}

/**
 * Tells how many bytes a value has.
 *
 * @param value - Text or bytes.
 * @returns The number of bytes, for text those of UTF-8.
 */
export function lengthOf(value: string | Uint8Array): number {
  return typeof value === 'string' ? Buffer.byteLength(value, 'utf8') : value.length
}

/**
 * Refuses values over a limit.
 *
 * @param length - The length of the value in bytes.
 * @param maxValueBytes - The limit in bytes.
 * @throws FormatError `ERR_VALUE_TOO_LARGE`.
 */
export function checkValueSize(length: number, maxValueBytes: number): void {
  if (length > maxValueBytes) {
    throw new FormatError(
      'ERR_VALUE_TOO_LARGE',
      `The value has ${length} bytes; the limit is ${maxValueBytes}. Nothing was written.`,
    )
  }
}

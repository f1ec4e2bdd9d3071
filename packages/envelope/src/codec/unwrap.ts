import { open } from '../crypto/aead.ts'
import { DecryptError } from '../errors.ts'
import type { EncodedContext } from '../format/context.ts'
import { type FormatFault, parseWrap, type WrapFields } from '../format/envelope-v2.ts'
import { type Kek, unwrapKey } from '../keyring/kek.ts'
import type { ProviderCallOptions } from '../keyring/key-provider.ts'
import { type RemoteKek, unwrapKeyRemotely } from '../keyring/remote-kek.ts'
import { type KekResolver, resolveKek, verifyCommitment } from './kek-resolver.ts'

export type { KekResolver } from './kek-resolver.ts'

/**
 * Opens an envelope kept in its two forms.
 *
 * @param resolve - Finds a KEK by its id; no other KEK is ever tried.
 * @param wrap - The wrap text.
 * @param sealed - The sealed bytes.
 * @param context - The whole encryption context.
 * @param options - When to give up a key provider.
 * @returns The value, in memory of its own, at once under a local KEK.
 * @throws DecryptError `ERR_DECRYPT_FAILED` with the first check that failed, in the order of the format. No
 * plaintext leaves before all have passed.
 * @throws ProviderError `ERR_KEY_PROVIDER_…`: the envelope was not judged.
 */
export function unwrapValue(
  resolve: KekResolver,
  wrap: string,
  sealed: Uint8Array,
  context: EncodedContext,
): Uint8Array
export function unwrapValue(
  resolve: KekResolver<Kek>,
  wrap: string,
  sealed: Uint8Array,
  context: EncodedContext,
  options?: ProviderCallOptions,
): Uint8Array | Promise<Uint8Array>
export function unwrapValue(
  resolve: KekResolver<Kek>,
  wrap: string,
  sealed: Uint8Array,
  context: EncodedContext,
  options: ProviderCallOptions = {},
): Uint8Array | Promise<Uint8Array> {
  return openSealed(resolve, parseWrap(wrap, sealed.length), sealed, context, options)
}

/**
 * Opens an envelope whose wrap text has been read.
 *
 * @param resolve - Finds a KEK by its id.
 * @param fields - The fields of the wrap text, or the fault that kept them from being read.
 * @param sealed - The sealed bytes.
 * @param context - The whole encryption context.
 * @param options - When to give up a key provider.
 * @returns The value, in memory of its own, at once under a local KEK.
 * @throws DecryptError `ERR_DECRYPT_FAILED` with the first check that failed.
 * @throws ProviderError `ERR_KEY_PROVIDER_…`: the envelope was not judged.
 */
export function openSealed(
  resolve: KekResolver<Kek>,
  fields: WrapFields | FormatFault,
  sealed: Uint8Array,
  context: EncodedContext,
  options: ProviderCallOptions,
): Uint8Array | Promise<Uint8Array> {
  if ('fault' in fields) throw new DecryptError(fields.fault, fields.kekId)
  const kek = resolveKek(resolve, fields)
  if (typeof kek === 'string') throw new DecryptError(kek, fields.kekId)
  return kek.suite === '0001'
    ? openWith(unwrapKey(kek, fields.wrappedDek), fields, sealed, context)
    : openRemotely(kek, fields, sealed, context, options)
}

async function openRemotely(
  kek: RemoteKek,
  fields: WrapFields,
  sealed: Uint8Array,
  context: EncodedContext,
  options: ProviderCallOptions,
): Promise<Uint8Array> {
  return openWith(await unwrapKeyRemotely(kek, fields.wrappedDek, options), fields, sealed, context)
}

/** Opens with a DEK, which is cleared, or refuses where there is none. */
function openWith(
  dek: Uint8Array | null,
  fields: WrapFields,
  sealed: Uint8Array,
  context: EncodedContext,
): Uint8Array {
  const { kekId } = fields
  if (dek === null) throw new DecryptError('wrap_corrupt', kekId)
  const encKey = verifyCommitment(fields, dek, context)
  dek.fill(0)
  if (encKey === null) throw new DecryptError('commitment_mismatch', kekId)
  const value = open(encKey, context, sealed)
  encKey.fill(0)
  if (value === null) throw new DecryptError('payload_corrupt', kekId)
  return value
}

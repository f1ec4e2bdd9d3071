import { open } from '../crypto/aead.ts'
import { DecryptError } from '../errors.ts'
import type { EncodedContext } from '../format/context.ts'
import { type FormatFault, parseWrap, type WrapFields } from '../format/envelope-v2.ts'
import { unwrapKey } from '../keyring/kek.ts'
import { type KekResolver, resolveKek, verifyCommitment } from './kek-resolver.ts'

export type { KekResolver } from './kek-resolver.ts'

/**
 * Opens an envelope kept in its two forms.
 *
 * @param resolve - Finds a KEK by its id; no other KEK is ever tried.
 * @param wrap - The wrap text.
 * @param sealed - The sealed bytes.
 * @param context - The whole encryption context.
 * @returns The value, in memory of its own.
 * @throws DecryptError `ERR_DECRYPT_FAILED` with the first check that failed, in the order of the format. No
 * plaintext leaves before all have passed.
 */
export function unwrapValue(
  resolve: KekResolver,
  wrap: string,
  sealed: Uint8Array,
  context: EncodedContext,
): Uint8Array {
  return openSealed(resolve, parseWrap(wrap, sealed.length), sealed, context)
}

/**
 * Opens an envelope whose wrap text has been read.
 *
 * @param resolve - Finds a KEK by its id.
 * @param fields - The fields of the wrap text, or the fault that kept them from being read.
 * @param sealed - The sealed bytes.
 * @param context - The whole encryption context.
 * @returns The value, in memory of its own.
 * @throws DecryptError `ERR_DECRYPT_FAILED` with the first check that failed.
 */
export function openSealed(
  resolve: KekResolver,
  fields: WrapFields | FormatFault,
  sealed: Uint8Array,
  context: EncodedContext,
): Uint8Array {
  if ('fault' in fields) throw new DecryptError(fields.fault, fields.kekId)
  const { kekId } = fields
  const kek = resolveKek(resolve, fields)
  if (typeof kek === 'string') throw new DecryptError(kek, kekId)
  const dek = unwrapKey(kek, fields.wrappedDek)
  if (dek === null) throw new DecryptError('wrap_corrupt', kekId)
  const encKey = verifyCommitment(fields, dek, context)
  dek.fill(0)
  if (encKey === null) throw new DecryptError('commitment_mismatch', kekId)
  const value = open(encKey, context, sealed)
  encKey.fill(0)
  if (value === null) throw new DecryptError('payload_corrupt', kekId)
  return value
}

import { deriveKeys } from '../crypto/derive.ts'
import { equalConstantTime } from '../crypto/digest.ts'
import type { DecryptReason } from '../errors.ts'
import type { EncodedContext } from '../format/context.ts'
import type { WrapFields } from '../format/envelope-v2.ts'
import type { Kek, LocalKek } from '../keyring/kek.ts'

/**
 * Finds the KEK an envelope names. `null`: this process does not hold it. `'not_allowed'`: it may not unwrap,
 * for instance because it is suspended.
 */
export type KekResolver<K extends Kek = LocalKek> = (kekId: string) => K | 'not_allowed' | null

/**
 * Finds the KEK of an envelope and makes the checks that need no key.
 *
 * @param resolve - Finds a KEK by its id; no other KEK is ever tried.
 * @param fields - The envelope's fields.
 * @returns The KEK, or the first check that failed: `kek_unknown`, `kek_not_allowed`, `kek_mismatch`.
 */
export function resolveKek<K extends Kek>(resolve: KekResolver<K>, fields: WrapFields): K | DecryptReason {
  const kek = resolve(fields.kekId)
  if (kek === null) return 'kek_unknown'
  if (kek === 'not_allowed' || kek.suite !== fields.suite) return 'kek_not_allowed'
  return kek.fingerprint === fields.fingerprint ? kek : 'kek_mismatch'
}

/**
 * Verifies that an envelope commits to this DEK and this context.
 *
 * @param fields - The envelope's fields.
 * @param dek - 32 bytes.
 * @param context - The whole encryption context.
 * @returns The payload's key (32 bytes, to be cleared after use), or `null` when the commitment is another
 * one.
 */
export function verifyCommitment(
  fields: WrapFields,
  dek: Uint8Array,
  context: EncodedContext,
): Uint8Array | null {
  const { encKey, commit } = deriveKeys(dek, context)
  if (equalConstantTime(commit, fields.commit)) return encKey
  encKey.fill(0)
  return null
}

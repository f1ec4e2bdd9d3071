import { DecryptError, ProviderError } from '../errors.ts'
import type { EncodedContext } from '../format/context.ts'
import { serialiseWrap, type WrapFields } from '../format/envelope-v2.ts'
import { type Kek, unwrapKey, wrapKey } from '../keyring/kek.ts'
import type { ProviderCallOptions } from '../keyring/key-provider.ts'
import { sharing } from '../keyring/provider-call.ts'
import { unwrapKeyRemotely, wrapKeyRemotely } from '../keyring/remote-kek.ts'
import { verifyCommitment } from './kek-resolver.ts'
import { mapBounded } from './map-bounded.ts'

/** How many DEKs of one call are on their way to and from key providers at a time, and in memory. */
export const PROVIDER_LANES = 16

/** A DEK to be moved from or to a remote KEK. */
export interface RemoteMove {
  /** Where its outcome belongs. */
  readonly index: number
  /** The KEK it is under. */
  readonly kek: Kek
  readonly fields: WrapFields
  readonly context: EncodedContext
}

/**
 * Moves DEKs where a key provider has a part in it. Once a provider has failed, nothing more is asked of any: what is left
 * gets the same error, so that an outage is not met by a storm of calls.
 *
 * @param target - The KEK to wrap the DEKs under.
 * @param moves - Any number of DEKs.
 * @param outcomes - Gets the new wrap text or the error of each.
 * @param options - When to give up on one DEK.
 */
export async function rewrapRemotely(
  target: Kek,
  moves: readonly RemoteMove[],
  outcomes: (string | DecryptError | ProviderError)[],
  options: ProviderCallOptions,
): Promise<void> {
  let failure: ProviderError | null = null
  await mapBounded(moves, PROVIDER_LANES, async (move) => {
    try {
      outcomes[move.index] = failure ?? (await moveOne(target, move, sharing(options)))
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error
      failure ??= error
      outcomes[move.index] = error
    }
  })
}

async function moveOne(
  target: Kek,
  { kek, fields, context }: RemoteMove,
  next: () => ProviderCallOptions,
): Promise<string | DecryptError> {
  const dek =
    kek.suite === '0001'
      ? unwrapKey(kek, fields.wrappedDek)
      : await unwrapKeyRemotely(kek, fields.wrappedDek, next())
  if (dek === null) return new DecryptError('wrap_corrupt', fields.kekId)
  try {
    const encKey = verifyCommitment(fields, dek, context)
    if (encKey === null) return new DecryptError('commitment_mismatch', fields.kekId)
    encKey.fill(0)
    // Already there: a provider would give another text each time, and the same DEK needs no other one.
    if (kek === target) return serialiseWrap(fields)
    const wrappedDek =
      target.suite === '0001' ? wrapKey(target, dek) : await wrapKeyRemotely(target, dek, next())
    const { id: kekId, suite, fingerprint } = target
    return serialiseWrap({ kekId, suite, fingerprint, commit: fields.commit, wrappedDek })
  } finally {
    dek.fill(0)
  }
}

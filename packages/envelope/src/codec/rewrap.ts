import { DecryptError } from '../errors.ts'
import type { EncodedContext } from '../format/context.ts'
import { type FormatFault, parseWrap, serialiseWrap, type WrapFields } from '../format/envelope-v2.ts'
import { type Kek, unwrapKeys, wrapKeys } from '../keyring/kek.ts'
import { type KekResolver, resolveKek, verifyCommitment } from './kek-resolver.ts'

/**
 * A wrap text that has been read, or the fault that kept it from being read, and the context of its value.
 */
export interface RewrapItem {
  readonly fields: WrapFields | FormatFault
  readonly context: EncodedContext
}

/** A DEK whose commitment was verified, on its way to another KEK. */
interface VerifiedDek {
  readonly index: number
  readonly fields: WrapFields
  readonly dek: Uint8Array
}

/**
 * Moves a DEK under another KEK. The value is neither read nor decrypted.
 *
 * @param resolve - Finds a KEK by its id.
 * @param target - The KEK to wrap the DEK under. Whether it may be used for that is the caller's to know.
 * @param wrap - The wrap text.
 * @param context - The whole encryption context.
 * @returns The new wrap text; an equal one when the DEK is under `target` already.
 * @throws DecryptError `ERR_DECRYPT_FAILED` with the first check that failed, up to and including the
 * commitment.
 */
export function rewrapKey(resolve: KekResolver, target: Kek, wrap: string, context: EncodedContext): string {
  const [outcome] = rewrapKeys(resolve, target, [{ wrap, context }])
  if (typeof outcome === 'string') return outcome
  throw outcome
}

/**
 * Moves many DEKs under another KEK, at a fraction of the cost of moving them one by one.
 *
 * @param resolve - Finds a KEK by its id.
 * @param target - The KEK to wrap the DEKs under. Whether it may be used for that is the caller's to know.
 * @param items - Any number of wrap texts with the whole contexts of their values.
 * @returns For each item, in order, what {@link rewrapKey} returns or throws.
 */
export function rewrapKeys(
  resolve: KekResolver,
  target: Kek,
  items: readonly { readonly wrap: string; readonly context: EncodedContext }[],
): readonly (string | DecryptError)[] {
  const parsed = items.map(({ wrap, context }) => ({ fields: parseWrap(wrap, null), context }))
  return rewrapParsed(resolve, target, parsed)
}

/**
 * Does the work of {@link rewrapKeys} for wrap texts that have been read.
 *
 * @param resolve - Finds a KEK by its id.
 * @param target - The KEK to wrap the DEKs under.
 * @param items - Any number of items.
 * @returns For each item, in order, the new wrap text or the error.
 */
export function rewrapParsed(
  resolve: KekResolver,
  target: Kek,
  items: readonly RewrapItem[],
): readonly (string | DecryptError)[] {
  const outcomes = new Array<string | DecryptError>(items.length)
  const verified: VerifiedDek[] = []
  try {
    for (const [kek, indexes] of groupByKek(resolve, items, outcomes)) {
      unwrapGroup(kek, indexes, items, outcomes, verified)
    }
    const wrappedDeks = wrapKeys(
      target,
      verified.map(({ dek }) => dek),
    )
    const { id: kekId, suite, fingerprint } = target
    for (const [position, { index, fields }] of verified.entries()) {
      const wrappedDek = wrappedDeks[position] as Uint8Array
      outcomes[index] = serialiseWrap({ kekId, suite, fingerprint, commit: fields.commit, wrappedDek })
    }
  } finally {
    for (const { dek } of verified) dek.fill(0)
  }
  return outcomes
}

/**
 * Sorts the items by the KEK they are under; those that end before the AES-KW check get their outcome here.
 */
function groupByKek(
  resolve: KekResolver,
  items: readonly RewrapItem[],
  outcomes: (string | DecryptError)[],
): ReadonlyMap<Kek, number[]> {
  const groups = new Map<Kek, number[]>()
  for (const [index, { fields }] of items.entries()) {
    const kek = 'fault' in fields ? fields.fault : resolveKek(resolve, fields)
    if (typeof kek === 'string') {
      outcomes[index] = new DecryptError(kek, fields.kekId)
      continue
    }
    const group = groups.get(kek)
    if (group === undefined) groups.set(kek, [index])
    else group.push(index)
  }
  return groups
}

function unwrapGroup(
  kek: Kek,
  indexes: readonly number[],
  items: readonly RewrapItem[],
  outcomes: (string | DecryptError)[],
  verified: VerifiedDek[],
): void {
  // groupByKek puts no item with a fault into a group.
  const group = indexes.map((index) => items[index] as RewrapItem & { readonly fields: WrapFields })
  const deks = unwrapKeys(
    kek,
    group.map(({ fields }) => fields.wrappedDek),
  )
  for (const [position, { fields, context }] of group.entries()) {
    const index = indexes[position] as number
    const dek = deks[position] ?? null
    if (dek === null) {
      outcomes[index] = new DecryptError('wrap_corrupt', fields.kekId)
      continue
    }
    const encKey = verifyCommitment(fields, dek, context)
    if (encKey === null) {
      dek.fill(0)
      outcomes[index] = new DecryptError('commitment_mismatch', fields.kekId)
      continue
    }
    encKey.fill(0)
    verified.push({ index, fields, dek })
  }
}

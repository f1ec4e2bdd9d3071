import { DecryptError, type ProviderError } from '../errors.ts'
import type { EncodedContext } from '../format/context.ts'
import { type FormatFault, parseWrap, serialiseWrap, type WrapFields } from '../format/envelope-v2.ts'
import { type Kek, type LocalKek, unwrapKeys, wrapKeys } from '../keyring/kek.ts'
import type { ProviderCallOptions } from '../keyring/key-provider.ts'
import { type KekResolver, resolveKek, verifyCommitment } from './kek-resolver.ts'
import { type RemoteMove, rewrapRemotely } from './rewrap-remote.ts'

/**
 * A wrap text that has been read, or the fault that kept it from being read, and the context of its value.
 */
export interface RewrapItem {
  readonly fields: WrapFields | FormatFault
  readonly context: EncodedContext
}

/** An item that was read without a fault. */
type ReadItem = RewrapItem & { readonly fields: WrapFields }

/** A DEK whose commitment was verified, on its way to another KEK. */
interface VerifiedDek {
  readonly index: number
  readonly fields: WrapFields
  readonly dek: Uint8Array
}

/** What became of one item: the new wrap text, or what stood in the way. */
export type RewrapOutcome = string | DecryptError | ProviderError

/** A wrap text and the whole context of its value. */
export interface WrapInContext {
  readonly wrap: string
  readonly context: EncodedContext
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
export function rewrapKey(
  resolve: KekResolver,
  target: LocalKek,
  wrap: string,
  context: EncodedContext,
): string {
  const [outcome] = rewrapKeys(resolve, target, [{ wrap, context }])
  if (typeof outcome === 'string') return outcome
  throw outcome
}

/**
 * Moves many DEKs under another KEK, between local ones at a fraction of the cost of moving them one by one.
 *
 * @param resolve - Finds a KEK by its id.
 * @param target - The KEK to wrap the DEKs under. Whether it may be used for that is the caller's to know.
 * @param items - Any number of wrap texts with the whole contexts of their values.
 * @param options - When to give up a key provider, for each item.
 * @returns For each item, in order, the new wrap text or the error; at once where no remote KEK has a part in it.
 */
export function rewrapKeys(
  resolve: KekResolver,
  target: LocalKek,
  items: readonly WrapInContext[],
): readonly (string | DecryptError)[]
export function rewrapKeys(
  resolve: KekResolver<Kek>,
  target: Kek,
  items: readonly WrapInContext[],
  options?: ProviderCallOptions,
): readonly RewrapOutcome[] | Promise<readonly RewrapOutcome[]>
export function rewrapKeys(
  resolve: KekResolver<Kek>,
  target: Kek,
  items: readonly WrapInContext[],
  options: ProviderCallOptions = {},
): readonly RewrapOutcome[] | Promise<readonly RewrapOutcome[]> {
  const parsed = items.map(({ wrap, context }) => ({ fields: parseWrap(wrap, null), context }))
  return rewrapParsed(resolve, target, parsed, options)
}

/**
 * Does the work of {@link rewrapKeys} for wrap texts that have been read.
 *
 * @param resolve - Finds a KEK by its id.
 * @param target - The KEK to wrap the DEKs under.
 * @param items - Any number of items.
 * @param options - When to give up a key provider, for each item.
 * @returns For each item, in order, the new wrap text or the error.
 */
export function rewrapParsed(
  resolve: KekResolver<Kek>,
  target: Kek,
  items: readonly RewrapItem[],
  options: ProviderCallOptions,
): readonly RewrapOutcome[] | Promise<readonly RewrapOutcome[]> {
  const outcomes = new Array<RewrapOutcome>(items.length)
  const local = new Map<LocalKek, readonly number[]>()
  const moves: RemoteMove[] = []
  for (const [kek, indexes] of groupByKek(resolve, items, outcomes)) {
    if (kek.suite === '0001' && target.suite === '0001') local.set(kek, indexes)
    else for (const index of indexes) moves.push({ index, kek, ...(items[index] as ReadItem) })
  }
  if (target.suite === '0001') rewrapLocally(target, local, items, outcomes)
  if (moves.length === 0) return outcomes
  return rewrapRemotely(target, moves, outcomes, options).then(() => outcomes)
}

function rewrapLocally(
  target: LocalKek,
  groups: ReadonlyMap<LocalKek, readonly number[]>,
  items: readonly RewrapItem[],
  outcomes: RewrapOutcome[],
): void {
  const verified: VerifiedDek[] = []
  try {
    for (const [kek, indexes] of groups) unwrapGroup(kek, indexes, items, outcomes, verified)
    const wrappedDeks = wrapKeys(
      target,
      verified.map(({ dek }) => dek),
    )
    const { id: kekId, suite, fingerprint } = target
    for (let position = 0; position < verified.length; position += 1) {
      const { index, fields } = verified[position] as VerifiedDek
      const wrappedDek = wrappedDeks[position] as Uint8Array
      outcomes[index] = serialiseWrap({ kekId, suite, fingerprint, commit: fields.commit, wrappedDek })
    }
  } finally {
    for (const { dek } of verified) dek.fill(0)
  }
}

/**
 * Sorts the items by the KEK they are under; those that end before their DEK is unwrapped get their outcome here.
 */
function groupByKek(
  resolve: KekResolver<Kek>,
  items: readonly RewrapItem[],
  outcomes: RewrapOutcome[],
): ReadonlyMap<Kek, number[]> {
  const groups = new Map<Kek, number[]>()
  for (let index = 0; index < items.length; index += 1) {
    const { fields } = items[index] as RewrapItem
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
  kek: LocalKek,
  indexes: readonly number[],
  items: readonly RewrapItem[],
  outcomes: RewrapOutcome[],
  verified: VerifiedDek[],
): void {
  // groupByKek puts no item with a fault into a group.
  const deks = unwrapKeys(
    kek,
    indexes.map((index) => (items[index] as ReadItem).fields.wrappedDek),
  )
  for (let position = 0; position < indexes.length; position += 1) {
    const index = indexes[position] as number
    const { fields, context } = items[index] as ReadItem
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

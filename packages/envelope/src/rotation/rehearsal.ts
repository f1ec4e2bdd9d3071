import { unwrapValue } from '../codec/unwrap.ts'
import { type DecryptError, isEnvelopeError } from '../errors.ts'
import type { EncodedContext } from '../format/context.ts'
import type { Outcome, StoredSecret } from '../store/secret-store.ts'
import type { RotationFailure } from './operation.ts'
import { type BatchPlan, failureOf } from './plan.ts'
import type { RewrapItem } from './rewrap-target.ts'
import type { RotationSurroundings } from './surroundings.ts'

/** Names of one read of the store. */
const READ = 100

/** What a rehearsal found of a page. */
export interface Rehearsal {
  readonly plan: BatchPlan
  /** What writing the plan would have answered. */
  readonly outcomes: readonly Outcome[]
}

/**
 * Opens the values of a planned page of the store and writes nothing: a re-wrap alone never looks at them. Of a declared
 * source, which shows wrap texts only, nothing more is opened than a re-wrap does.
 *
 * @throws ProviderError, StoreError during an outage: the call may be made again.
 */
export async function rehearse(
  { store, resolve }: Pick<RotationSurroundings, 'store' | 'resolve'>,
  source: string | null,
  plan: BatchPlan,
  signal: AbortSignal,
): Promise<Rehearsal> {
  if (source !== null) return { plan, outcomes: plan.rewraps.map(() => 'done') }
  const failures: RotationFailure[] = [...plan.failures]
  const outcomes: Outcome[] = []
  for (let start = 0; start < plan.rewraps.length; start += READ) {
    const items = plan.rewraps.slice(start, start + READ).map(({ item }) => item)
    const stored = await store.read(
      items.map(({ name }) => name),
      { signal },
    )
    for (const [index, item] of items.entries()) {
      const failed = await tryToOpen(resolve, item, stored[index] ?? null, signal)
      if (typeof failed === 'string') outcomes.push(failed)
      else failures.push(failureOf(item, source, failed.reason, failed.kekId))
    }
  }
  return { plan: { ...plan, failures }, outcomes }
}

async function tryToOpen(
  resolve: RotationSurroundings['resolve'],
  { wrap, context }: RewrapItem,
  stored: StoredSecret | null,
  signal: AbortSignal,
): Promise<Outcome | DecryptError> {
  if (stored === null) return 'missing'
  if (stored.wrap !== wrap) return 'changed'
  try {
    const value = await unwrapValue(resolve, wrap, stored.sealed, context as EncodedContext, { signal })
    value.fill(0)
    return 'done'
  } catch (error) {
    if (isEnvelopeError(error) && error.code === 'ERR_DECRYPT_FAILED') return error as DecryptError
    throw error
  }
}

import { type RewrapOutcome, rewrapKeys } from '../codec/rewrap.ts'
import type { KekResolver } from '../codec/unwrap.ts'
import { wrapDigest } from '../codec/wrap-digest.ts'
import { type DecryptError, ProviderError } from '../errors.ts'
import type { EncodedContext } from '../format/context.ts'
import { kekIdOfWrap } from '../format/envelope-v2.ts'
import type { Kek } from '../keyring/kek.ts'
import type { Outcome } from '../store/secret-store.ts'
import type { RotationFailure, RotationTotals } from './operation.ts'
import type { PlannedRewrap, RewrapItem } from './rewrap-target.ts'

/** What is to be done with one page. */
export interface BatchPlan {
  readonly rewraps: readonly PlannedRewrap[]
  readonly failures: readonly RotationFailure[]
  /** Items found under the target already. */
  readonly alreadyCurrent: number
  /** KEKs that are in the keyring document and that this instance does not hold. Nothing is to be written then. */
  readonly missingKekIds: readonly string[]
}

/** What planning needs to know besides the page. */
export interface BatchBasis {
  /** The declared source of the page; `null` for the store. */
  readonly source: string | null
  readonly target: Kek
  readonly resolve: KekResolver<Kek>
  /** Whether the keyring document knows a KEK id. A record under any other id is damaged, not waiting for a KEK. */
  isKnownKekId(kekId: string): boolean
  /** Outcomes of an earlier attempt at the same page, by name; this one adds its own. */
  readonly known: Map<string, string | DecryptError>
  /** Ends calls to key providers. */
  readonly signal: AbortSignal
  /** Lets others have their turn. */
  readonly turn: () => Promise<void>
}

/** An item whose context is known. */
type Candidate = RewrapItem & { readonly context: EncodedContext }

/** The items of a page, sorted by what is to be done with them. */
interface SortedPage {
  readonly candidates: readonly Candidate[]
  readonly failures: readonly RotationFailure[]
  readonly alreadyCurrent: number
}

/** Items between two turns of the event loop: about a millisecond of work. */
const SLICE = 100

/**
 * Re-wraps the DEKs of one page, in memory. A record that cannot be re-wrapped is a failure of its own only.
 *
 * @throws ProviderError when a key provider could not be asked. What is known of the page by then is in `basis.known`, and
 * the same call may be made again.
 */
export async function planBatch(items: readonly RewrapItem[], basis: BatchBasis): Promise<BatchPlan> {
  const page = sortOut(items, basis)
  const pending = page.candidates.filter(({ name }) => !basis.known.has(name))
  for (let start = 0; start < pending.length; start += SLICE) {
    await basis.turn()
    const slice = pending.slice(start, start + SLICE)
    remember(
      basis.known,
      slice,
      await rewrapKeys(basis.resolve, basis.target, slice, { signal: basis.signal }),
    )
  }
  return planOf(page, basis)
}

function sortOut(items: readonly RewrapItem[], { target, source }: BatchBasis): SortedPage {
  const failures: RotationFailure[] = []
  const candidates: Candidate[] = []
  let alreadyCurrent = 0
  // A page may show a record twice while others write; a batch must not.
  for (const item of new Map(items.map((each) => [each.name, each])).values()) {
    if (kekIdOfWrap(item.wrap) === target.id) alreadyCurrent += 1
    else if (isCandidate(item)) candidates.push(item)
    else failures.push(failureOf(item, source, 'metadata_damaged', kekIdOfWrap(item.wrap)))
  }
  return { candidates, failures, alreadyCurrent }
}

function isCandidate(item: RewrapItem): item is Candidate {
  return item.context !== null
}

/** What is told of an item that could not be re-wrapped. */
export function failureOf(
  { name, wrap }: RewrapItem,
  source: string | null,
  reason: RotationFailure['reason'],
  kekId: string | null,
): RotationFailure {
  return { name, source, reason, kekId, digest: wrapDigest(wrap) }
}

/** Keeps what is definite, so that a provider that fails now and then is never asked for the same DEK twice. */
function remember(
  known: Map<string, string | DecryptError>,
  candidates: readonly Candidate[],
  outcomes: readonly RewrapOutcome[],
): void {
  let failure: ProviderError | null = null
  for (const [index, { name }] of candidates.entries()) {
    const outcome = outcomes[index] as RewrapOutcome
    if (outcome instanceof ProviderError) failure ??= outcome
    else known.set(name, outcome)
  }
  if (failure !== null) throw failure
}

function planOf({ candidates, failures: damaged, alreadyCurrent }: SortedPage, basis: BatchBasis): BatchPlan {
  const failures = [...damaged]
  const rewraps: PlannedRewrap[] = []
  const missing = new Set<string>()
  for (const item of candidates) {
    const result = basis.known.get(item.name)
    if (typeof result === 'string') {
      rewraps.push({ item, wrap: result })
    } else if (result !== undefined) {
      const { reason, kekId } = result
      if (reason === 'kek_unknown' && kekId !== null && basis.isKnownKekId(kekId)) missing.add(kekId)
      else failures.push(failureOf(item, basis.source, reason, kekId))
    }
  }
  return { rewraps, failures, alreadyCurrent, missingKekIds: [...missing].sort() }
}

/** Counts of one batch, from the answers of the store. */
export interface BatchTally {
  readonly totals: RotationTotals
  /** Changes that met a newer keyring document and were not written. */
  readonly fenced: number
}

/**
 * Counts what became of a batch. `already` is ours: since the page was read, the record came to carry exactly the wrap
 * text of this plan, and a worker whose progress is not saved counts nothing.
 */
export function tallyBatch(plan: BatchPlan, outcomes: readonly Outcome[]): BatchTally {
  const count = (...of: readonly Outcome[]): number =>
    outcomes.filter((outcome) => of.includes(outcome)).length
  const fenced = count('fenced')
  const rewrapped = count('done', 'already')
  const changed = count('changed')
  const deleted = count('missing')
  // A fenced page is read again, and what failed in it is counted then.
  const failed = fenced > 0 ? 0 : plan.failures.length
  const alreadyCurrent = fenced > 0 ? 0 : plan.alreadyCurrent
  const scanned = rewrapped + changed + deleted + failed + alreadyCurrent
  return { totals: { scanned, rewrapped, alreadyCurrent, changed, deleted, failed }, fenced }
}

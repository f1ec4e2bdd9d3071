import { type RewrapOutcome, rewrapKeys } from '../codec/rewrap.ts'
import type { KekResolver } from '../codec/unwrap.ts'
import { type DecryptError, ProviderError } from '../errors.ts'
import { type EncodedContext, encodeContext } from '../format/context.ts'
import { kekIdOfWrap } from '../format/envelope-v2.ts'
import type { Kek } from '../keyring/kek.ts'
import { parseMeta, type RecordMeta, serialiseMeta } from '../store/record-meta.ts'
import type { Change, Outcome, SecretHeader } from '../store/secret-store.ts'
import type { RotationFailure, RotationTotals } from './operation.ts'

/** What is to be done with one page of headers. */
export interface BatchPlan {
  readonly changes: readonly Change[]
  readonly failures: readonly RotationFailure[]
  /** Headers found under the target already. */
  readonly alreadyCurrent: number
  /** KEKs that are in the keyring document and that this instance does not hold. Nothing is to be written then. */
  readonly missingKekIds: readonly string[]
}

/** What planning needs to know besides the page. */
export interface BatchBasis {
  readonly namespace: string
  readonly target: Kek
  readonly resolve: KekResolver<Kek>
  /** Whether the keyring document knows a KEK id. A record under any other id is damaged, not waiting for a KEK. */
  isKnownKekId(kekId: string): boolean
  /** The time of the rewrap: RFC 3339 UTC. */
  readonly at: string
  /** Outcomes of an earlier attempt at the same page, by name; this one adds its own. */
  readonly known: Map<string, string | DecryptError>
  /** Ends calls to key providers. */
  readonly signal: AbortSignal
}

/** A record that can be re-wrapped as far as its metadata goes. */
interface Candidate {
  readonly header: SecretHeader
  readonly meta: RecordMeta
  readonly context: EncodedContext
}

/** The headers of a page, sorted by what is to be done with them. */
interface SortedPage {
  readonly candidates: readonly Candidate[]
  readonly failures: readonly RotationFailure[]
  readonly alreadyCurrent: number
}

/**
 * Re-wraps the DEKs of one page, in memory. A record that cannot be re-wrapped is a failure of its own only.
 *
 * @returns The plan; at once where no key provider has a part in it.
 * @throws ProviderError when a key provider could not be asked. What is known of the page by then is in `basis.known`, and
 * the same call may be made again.
 */
export function planBatch(
  headers: readonly SecretHeader[],
  basis: BatchBasis,
): BatchPlan | Promise<BatchPlan> {
  const page = sortOut(headers, basis)
  const pending = page.candidates.filter(({ header }) => !basis.known.has(header.name))
  const items = pending.map(({ header, context }) => ({ wrap: header.wrap, context }))
  const conclude = (outcomes: readonly RewrapOutcome[]): BatchPlan => {
    remember(basis.known, pending, outcomes)
    return planOf(page, basis)
  }
  const outcomes = rewrapKeys(basis.resolve, basis.target, items, { signal: basis.signal })
  return outcomes instanceof Promise ? outcomes.then(conclude) : conclude(outcomes)
}

function sortOut(headers: readonly SecretHeader[], basis: BatchBasis): SortedPage {
  const failures: RotationFailure[] = []
  const candidates: Candidate[] = []
  let alreadyCurrent = 0
  // A page may show a record twice while others write; a batch must not.
  for (const header of new Map(headers.map((each) => [each.name, each])).values()) {
    if (kekIdOfWrap(header.wrap) === basis.target.id) {
      alreadyCurrent += 1
      continue
    }
    const meta = parseMeta(header.meta)
    const context = meta === null ? null : contextOf(basis.namespace, header.name, meta)
    if (meta === null || context === null) {
      failures.push({ name: header.name, reason: 'metadata_damaged', kekId: kekIdOfWrap(header.wrap) })
    } else {
      candidates.push({ header, meta, context })
    }
  }
  return { candidates, failures, alreadyCurrent }
}

/** Keeps what is definite, so that a provider that fails now and then is never asked for the same DEK twice. */
function remember(
  known: Map<string, string | DecryptError>,
  candidates: readonly Candidate[],
  outcomes: readonly RewrapOutcome[],
): void {
  let failure: ProviderError | null = null
  for (const [index, { header }] of candidates.entries()) {
    const outcome = outcomes[index] as RewrapOutcome
    if (outcome instanceof ProviderError) failure ??= outcome
    else known.set(header.name, outcome)
  }
  if (failure !== null) throw failure
}

function planOf({ candidates, failures: damaged, alreadyCurrent }: SortedPage, basis: BatchBasis): BatchPlan {
  const failures = [...damaged]
  const changes: Change[] = []
  const missing = new Set<string>()
  for (const { header, meta } of candidates) {
    const result = basis.known.get(header.name)
    if (typeof result === 'string') {
      const rewrapped = serialiseMeta({ ...meta, rewrappedAt: basis.at })
      const secret = { name: header.name, wrap: result, meta: rewrapped }
      changes.push({ kind: 'rewrap', expectedWrap: header.wrap, secret })
    } else if (result !== undefined) {
      const { reason, kekId } = result
      if (reason === 'kek_unknown' && kekId !== null && basis.isKnownKekId(kekId)) missing.add(kekId)
      else failures.push({ name: header.name, reason, kekId })
    }
  }
  return { changes, failures, alreadyCurrent, missingKekIds: [...missing].sort() }
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

function contextOf(namespace: string, name: string, meta: RecordMeta): EncodedContext | null {
  try {
    return encodeContext({ ...meta.context, namespace, name })
  } catch {
    return null
  }
}

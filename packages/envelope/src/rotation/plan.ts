import { rewrapKeys } from '../codec/rewrap.ts'
import type { KekResolver } from '../codec/unwrap.ts'
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
  readonly resolve: KekResolver
  /** Whether the keyring document knows a KEK id. A record under any other id is damaged, not waiting for a KEK. */
  isKnownKekId(kekId: string): boolean
  /** The time of the rewrap: RFC 3339 UTC. */
  readonly at: string
}

/** Re-wraps the DEKs of one page, in memory. A record that cannot be re-wrapped is a failure of its own only. */
export function planBatch(headers: readonly SecretHeader[], basis: BatchBasis): BatchPlan {
  const failures: RotationFailure[] = []
  const candidates: { header: SecretHeader; meta: RecordMeta; context: EncodedContext }[] = []
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
  const items = candidates.map(({ header, context }) => ({ wrap: header.wrap, context }))
  const results = rewrapKeys(basis.resolve, basis.target, items)
  const changes: Change[] = []
  const missing = new Set<string>()
  for (const [index, { header, meta }] of candidates.entries()) {
    const result = results[index]
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

import { type EnvelopeError, isEnvelopeError } from '../errors.ts'
import type { Kek } from '../keyring/kek.ts'
import { currentKekId, kekEntry } from '../lifecycle/keyring-document.ts'
import type { KeyringSnapshot } from '../lifecycle/keyring-state.ts'
import { kekIdsInUse } from '../lifecycle/readiness.ts'
import { timestamp } from '../runtime.ts'
import { STORE_LIMITS } from '../store/limits.ts'
import type { Page, SecretHeader } from '../store/secret-store.ts'
import { NO_TOTALS, type RotationOperation, type RotationTotals } from './operation.ts'
import type { LoggedOperation } from './operation-log.ts'
import { Pace } from './pace.ts'
import { batchBasis, PageReader } from './page-reader.ts'
import { type Patience, Stopped } from './patience.ts'
import { type BatchPlan, type BatchTally, planBatch, tallyBatch } from './plan.ts'
import { missing, superseded, unwished } from './stop-messages.ts'
import type { RotationSurroundings } from './surroundings.ts'

/** Thrown when another worker has taken the operation over. */
export class TakenOver extends Error {}

/** Thrown when the operation was released because another instance can do what this one cannot. */
export class LeftToOthers extends Error {}

/** The most failures of one operation that are listed; all are counted. */
const LISTED_FAILURES = 1_000
const TOTALS = Object.keys(NO_TOTALS) as (keyof RotationTotals)[]

/** Works on one claimed operation: page by page, progress saved after the outcomes of a batch and never before. */
export class RotationWorker {
  readonly #with: RotationSurroundings
  readonly #patience: Patience
  readonly #pace: Pace
  readonly #reader: PageReader
  #operation: RotationOperation
  #revision: number
  #unwishedSinceMs: number | null = null

  constructor(surroundings: RotationSurroundings, patience: Patience, claimed: LoggedOperation) {
    this.#with = surroundings
    this.#patience = patience
    this.#operation = claimed.operation
    this.#revision = claimed.revision
    const { ratePerSecond } = claimed.operation
    this.#pace = new Pace(ratePerSecond ?? Number.POSITIVE_INFINITY)
    this.#reader = new PageReader(surroundings, patience, {
      pageSize: this.#pace.batch(STORE_LIMITS.changes),
      readsAhead: ratePerSecond === null,
    })
  }

  /**
   * Works until the operation has ended, this engine is stopped, or the target turns out to be for another instance.
   *
   * @throws TakenOver when somebody else has saved the operation since.
   */
  async carryOn(): Promise<void> {
    try {
      while (this.#operation.status === 'running' && !this.#patience.stopping) {
        const snapshot = this.#with.keyring.snapshot ?? (await this.#refreshKeyring())
        if (snapshot === null) return await this.#release()
        const { targetKekId } = this.#operation
        if (currentKekId(snapshot.document) === targetKekId) {
          const target = this.#with.targetKek(targetKekId)
          if (target === null) return await this.#release()
          await this.#step(snapshot, target)
        } else if (kekEntry(snapshot.document, targetKekId) === undefined) {
          await this.#awaitPromotion()
        } else {
          await this.#fail('ERR_PROMOTION_BLOCKED', superseded(targetKekId, currentKekId(snapshot.document)))
        }
      }
      if (this.#operation.status === 'running') await this.#release()
    } catch (error) {
      if (isEnvelopeError(error) && !error.retryable) await this.#fail(error.code, error.message)
      else throw error
    }
  }

  async #step(snapshot: KeyringSnapshot, target: Kek): Promise<void> {
    const { page, planned } = await this.#reader.next(this.#operation.cursor, snapshot, target)
    await this.#rest(this.#pace.waitMs(this.#with.runtime.monotonicMs(), page.items.length))
    if (this.#patience.stopping) return
    const isUsable = planned?.revision === snapshot.revision
    const plan = isUsable ? planned.plan : await this.#plan(page, snapshot, target)
    if (plan === null) return
    if (plan.missingKekIds.length > 0) return await this.#stopForMissing(plan.missingKekIds)
    const outcomes =
      plan.changes.length === 0
        ? []
        : await this.#patience.insist(() => this.#with.store.write(snapshot.revision, plan.changes))
    const tally = tallyBatch(plan, outcomes)
    if (tally.fenced > 0) await this.#refreshKeyring()
    else await this.#noteFailures(plan)
    await this.#saveProgress(page, tally)
  }

  /** A KEK that this instance alone lacks is no reason to end the operation for everybody. */
  async #stopForMissing(kekIds: readonly string[]): Promise<void> {
    const { store } = this.#with
    const { targetKekId } = this.#operation
    const inUse = await this.#patience.insist(() => kekIdsInUse(store, targetKekId, kekIds, {}))
    // The page is older than a reload that took away KEKs which no record needs any more: it is read again.
    if (inUse.size === 0) return
    if (await this.#patience.insist(() => this.#with.othersHold(kekIds))) {
      await this.#release()
      throw new LeftToOthers()
    }
    await this.#fail('ERR_KEK_NOT_LOADED', missing(kekIds))
  }

  /**
   * Re-wraps a page. An outage of a key provider is waited out, with the lease kept and the reason shown.
   *
   * @returns The plan, or `null` when told to stop before there was one.
   */
  async #plan(page: Page<SecretHeader>, snapshot: KeyringSnapshot, target: Kek): Promise<BatchPlan | null> {
    const leaving = new AbortController()
    const leave = (): void => leaving.abort()
    this.#patience.signal.addEventListener('abort', leave)
    const basis = batchBasis(this.#with, snapshot.document, target, leaving.signal)
    let knownBefore = 0
    const planOnce = async (): Promise<BatchPlan> => {
      try {
        return await planBatch(page.items, basis)
      } catch (error) {
        if (isEnvelopeError(error) && error.retryable) this.#waitsOut(error)
        throw error
      }
    }
    // A throttled provider answers some calls: those are not asked again, and the rest need not wait for long.
    const hasProgressed = (): boolean => {
      const progressed = basis.known.size > knownBefore
      knownBefore = basis.known.size
      return progressed
    }
    const planning = this.#patience.insist(planOnce, leaving.signal, hasProgressed)
    try {
      return await this.#keepLease(planning)
    } catch (error) {
      if (error instanceof Stopped) return null
      throw error
    } finally {
      this.#patience.signal.removeEventListener('abort', leave)
      leave()
    }
  }

  #waitsOut({ code, message }: EnvelopeError): void {
    this.#operation = { ...this.#operation, lastError: { code, message } }
  }

  /** Waits for work, saving the operation meanwhile, so that nobody takes a slow worker for a dead one. */
  async #keepLease<T>(work: Promise<T>): Promise<T> {
    const { runtime, leaseMs } = this.#with
    const ended = work.then(() => true)
    for (;;) {
      const due = Promise.withResolvers<boolean>()
      const timer = runtime.timer(() => due.resolve(false), leaseMs / 3)
      try {
        if (await Promise.race([ended, due.promise])) return await work
      } finally {
        timer.cancel()
      }
      await this.#save(this.#operation)
    }
  }

  async #noteFailures({ failures }: BatchPlan): Promise<void> {
    const first = this.#operation.totals.failed
    for (const [index, failure] of failures.slice(0, Math.max(0, LISTED_FAILURES - first)).entries()) {
      await this.#patience.insist(() =>
        this.#with.log.noteFailure(this.#operation, first + index, failure, {}),
      )
    }
  }

  async #saveProgress(page: Page<SecretHeader>, { totals, fenced }: BatchTally): Promise<void> {
    const before = this.#operation
    const sum = { ...before.totals }
    for (const member of TOTALS) sum[member] += totals[member]
    const foundInPass = before.foundInPass + totals.scanned - totals.failed
    const counted = { ...before, totals: sum, foundInPass, waitingFor: [], lastError: null }
    // A fenced page is read again: some of its records are still as they were.
    if (fenced > 0) return await this.#save(counted)
    if (page.next !== null) return await this.#save({ ...counted, cursor: page.next })
    if (foundInPass === 0) return await this.#end(counted)
    // The next pass meets this pass's failures again and counts them anew.
    const again = { ...sum, scanned: sum.scanned - sum.failed, failed: 0 }
    await this.#save({ ...counted, totals: again, pass: before.pass + 1, cursor: null, foundInPass: 0 })
  }

  async #end(operation: RotationOperation): Promise<void> {
    const { failed } = operation.totals
    if (failed === 0) {
      return await this.#save({
        ...operation,
        status: 'completed',
        cursor: null,
        completedAt: this.#now(),
        worker: null,
      })
    }
    this.#operation = operation
    const many = failed === 1 ? '1 secret' : `${failed} secrets`
    await this.#fail(
      'ERR_DECRYPT_FAILED',
      `${many} could not be re-wrapped and stayed under the former KEK; all others were. Their names and reasons are ` +
        'listed. Restore or delete them, then start the rotation again.',
    )
  }

  async #awaitPromotion(): Promise<void> {
    const { runtime, leaseMs } = this.#with
    const outlook = await this.#patience.insist(() => this.#with.outlook(this.#operation.targetKekId))
    const nowMs = runtime.monotonicMs()
    this.#unwishedSinceMs = outlook.wished ? null : (this.#unwishedSinceMs ?? nowMs)
    // Two leases: a restart of the only instance that wishes it must not end the operation.
    if (this.#unwishedSinceMs !== null && nowMs - this.#unwishedSinceMs > 2 * leaseMs) {
      return await this.#fail('ERR_PROMOTION_BLOCKED', unwished(this.#operation.targetKekId))
    }
    await this.#save({ ...this.#operation, waitingFor: outlook.waitingFor })
    await this.#patience.nap(leaseMs / 3)
    await this.#refreshKeyring()
  }

  /** Waits for the pace, saving the operation meanwhile, so that nobody takes a slow worker for a dead one. */
  async #rest(delayMs: number): Promise<void> {
    const longest = this.#with.leaseMs / 3
    for (let leftMs = delayMs; ; leftMs -= longest) {
      await this.#patience.sleep(Math.max(0, Math.min(leftMs, longest)))
      if (leftMs <= longest || this.#patience.stopping) return
      await this.#save(this.#operation)
    }
  }

  async #refreshKeyring(): Promise<KeyringSnapshot | null> {
    return await this.#patience.insist(() => this.#with.keyring.refresh({}))
  }

  async #fail(code: string, message: string): Promise<void> {
    const lastError = { code, message }
    await this.#save({
      ...this.#operation,
      status: 'failed',
      completedAt: this.#now(),
      lastError,
      worker: null,
    })
  }

  async #release(): Promise<void> {
    await this.#save({ ...this.#operation, worker: null })
  }

  async #save(operation: RotationOperation): Promise<void> {
    const next = { ...operation, updatedAt: this.#now() }
    const revision = await this.#patience.insist(() => this.#with.log.save(next, this.#revision, {}))
    if (revision === null) throw new TakenOver()
    this.#operation = next
    this.#revision = revision
    const { scanned, rewrapped, failed } = next.totals
    const event = { operationId: next.id, status: next.status, scanned, rewrapped, failed }
    this.#with.emit({ type: 'rotation', ...event })
  }

  #now(): string {
    return timestamp(this.#with.runtime)
  }
}

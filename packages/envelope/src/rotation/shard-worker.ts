import { type EnvelopeError, isEnvelopeError } from '../errors.ts'
import type { Kek } from '../keyring/kek.ts'
import { currentKekId } from '../lifecycle/keyring-document.ts'
import type { KeyringSnapshot } from '../lifecycle/keyring-state.ts'
import { kekIdsInUse } from '../lifecycle/readiness.ts'
import { timestamp } from '../runtime.ts'
import type { Outcome, Page } from '../store/secret-store.ts'
import type { BatchSize } from './batch-size.ts'
import { type RotationTotals, sumOfTotals } from './operation.ts'
import type { LoggedShard, OperationRecord, ShardRecord } from './operation-record.ts'
import { Pace } from './pace.ts'
import { PageReader } from './page-reader.ts'
import { type Patience, Stopped } from './patience.ts'
import { type BatchPlan, planBatch, tallyBatch } from './plan.ts'
import { rehearse } from './rehearsal.ts'
import type { RewrapItem, RewrapTarget } from './rewrap-target.ts'
import { Speed } from './speed.ts'
import { leftToOthers, missing, superseded } from './stop-messages.ts'
import type { RotationSurroundings } from './surroundings.ts'

/** Thrown when another worker has taken the shard over. */
export class TakenOver extends Error {}

/** A shard that was claimed, with what its worker needs to know. */
export interface ClaimedShard {
  readonly operation: OperationRecord
  readonly shard: LoggedShard
  readonly target: RewrapTarget
  readonly part: string | null
  /** What was learnt of the place by workers before. */
  readonly batch: BatchSize
  /** Aborted when whoever gave the job wants it back. */
  readonly signal?: AbortSignal
  /** Told after every save, with the operation as it was seen last. */
  readonly onSaved: (operation: OperationRecord, totals: RotationTotals) => void
}

/**
 * Why a worker has stopped.
 *
 * - `done`: the pass has ended here.
 * - `called_off`: the operation was paused, ended or has gone on to another pass.
 * - `stopped`: told to.
 * - `left`: another instance can do what this one cannot.
 * - `failed`: the operation has to end, see `error`.
 */
export type ShardEnd =
  | { readonly end: 'done' | 'called_off' | 'stopped' | 'left' }
  | { readonly end: 'failed'; readonly error: Pick<EnvelopeError, 'code' | 'message'> }

/** The most failures of one shard that are listed; all are counted. */
const LISTED_FAILURES = 1_000

/** A save costs the store about as much as ten records: not every batch is worth one. */
const SAVE_EVERY_MS = 200

/** Works on one claimed shard: page by page, progress saved after the outcomes of a batch and never before. */
export class ShardWorker {
  readonly #with: RotationSurroundings
  readonly #patience: Patience
  readonly #claimed: ClaimedShard
  readonly #pace: Pace
  readonly #batch: BatchSize
  readonly #speed = new Speed()
  readonly #reader: PageReader
  #shard: ShardRecord
  #revision: number
  /** When the last batch was counted. */
  #countedMs: number
  #savedMs: number
  #isUnsaved = false
  #calledOff = false
  /** As it was seen last; `null` when its shards have been divided anew, or another one has begun. */
  #operation: OperationRecord | null

  constructor(surroundings: RotationSurroundings, patience: Patience, claimed: ClaimedShard) {
    const { operation, shard, target, part } = claimed
    this.#with = surroundings
    this.#patience = patience
    this.#claimed = claimed
    this.#operation = operation
    this.#shard = shard.record
    this.#revision = shard.revision
    this.#countedMs = surroundings.runtime.monotonicMs()
    this.#savedMs = this.#countedMs
    const { ratePerSecond } = operation
    // Shared among the shards, whoever works on them: together they never go faster.
    this.#pace = new Pace((ratePerSecond ?? Number.POSITIVE_INFINITY) / (operation.shards?.length ?? 1))
    this.#batch = claimed.batch
    this.#reader = new PageReader(surroundings, patience, {
      target,
      part,
      readsAhead: ratePerSecond === null,
    })
  }

  /**
   * Works until the pass has ended here or there is a reason to stop. The shard is free for the next worker then.
   *
   * @throws TakenOver when somebody else has saved the shard since. LongOutage, with the shard not released.
   */
  async carryOn(): Promise<ShardEnd> {
    try {
      while (!this.#shard.done) {
        if (this.#isStopping()) return await this.#release('stopped')
        if (this.#calledOff) return await this.#release('called_off')
        const { targetKekId, dryRun } = this.#claimed.operation
        const snapshot = await this.#keyringFor(targetKekId)
        if (snapshot === null) return await this.#release('left')
        const current = currentKekId(snapshot.document)
        if (current !== targetKekId && !dryRun) {
          return await this.#fail('ERR_PROMOTION_BLOCKED', superseded(targetKekId, current))
        }
        const kek = this.#with.targetKek(targetKekId)
        if (kek === null) return await this.#release('left')
        const end = await this.#step(snapshot, kek)
        if (end !== null) return end
      }
      return { end: 'done' }
    } catch (error) {
      if (error instanceof Stopped) return { end: 'stopped' }
      if (isEnvelopeError(error) && !error.retryable) return await this.#fail(error.code, error.message)
      throw error
    } finally {
      await this.#reader.settle()
    }
  }

  async #step(snapshot: KeyringSnapshot, kek: Kek): Promise<ShardEnd | null> {
    const { runtime } = this.#with
    const { page, planned } = await this.#ask(() =>
      this.#reader.next(this.#shard.cursor, this.#batch.size, snapshot, kek),
    )
    await this.#rest(this.#pace.waitMs(runtime.monotonicMs(), page.items.length))
    if (this.#isStopping() || this.#calledOff) return null
    const beganMs = runtime.monotonicMs()
    const isUsable = planned?.revision === snapshot.revision
    const plan = isUsable ? planned.plan : await this.#plan(page, snapshot, kek)
    if (plan === null) return null
    if (plan.missingKekIds.length > 0) return await this.#stopForMissing(plan.missingKekIds)
    const plannedMs = runtime.monotonicMs()
    // Whether to go on at all is asked while the batch is written.
    const [written, heeded] = await Promise.allSettled([this.#write(snapshot, plan), this.#heed()])
    if (written.status === 'rejected') throw written.reason
    if (heeded.status === 'rejected') throw heeded.reason
    const answer = written.value
    const writtenMs = runtime.monotonicMs()
    this.#batch.learn(page.items.length, writtenMs - plannedMs)
    const tally = tallyBatch(answer.plan, answer.outcomes)
    if (tally.fenced > 0) await this.#refreshKeyring()
    else await this.#keepLease(this.#noteFailures(answer.plan))
    const { scanned, rewrapped, changed, deleted, failed } = tally.totals
    this.#with.emit({
      type: 'rotation_batch',
      operationId: this.#claimed.operation.id,
      dryRun: this.#claimed.operation.dryRun,
      ...{ records: scanned, rewrapped, changed, deleted, failed },
      planMs: plannedMs - beganMs,
      writeMs: writtenMs - plannedMs,
    })
    await this.#saveProgress(page, tally.totals, tally.fenced > 0)
    return null
  }

  async #write(
    { revision }: KeyringSnapshot,
    plan: BatchPlan,
  ): Promise<{ readonly plan: BatchPlan; readonly outcomes: readonly Outcome[] }> {
    const { target, operation } = this.#claimed
    if (plan.rewraps.length === 0) return { plan, outcomes: [] }
    if (operation.dryRun) {
      const { signal } = this.#patience
      return await this.#ask(() => rehearse(this.#with, target.source, plan, signal))
    }
    const at = this.#now()
    return { plan, outcomes: await this.#ask(() => target.write(revision, plan.rewraps, at, {})) }
  }

  /** Looks whether the operation still wants this shard worked on. */
  async #heed(): Promise<void> {
    const { id, pass, round } = this.#claimed.operation
    const found = await this.#insist(() => this.#with.log.newest({}))
    const record = found?.record
    this.#operation = record?.id === id && record.round === round ? record : null
    const goesOn = this.#operation?.status === 'running' && this.#operation.pass === pass
    this.#calledOff ||= !goesOn
  }

  /** A KEK that this instance alone lacks is no reason to end the operation for everybody. */
  async #stopForMissing(kekIds: readonly string[]): Promise<ShardEnd | null> {
    const { store } = this.#with
    const { targetKekId } = this.#claimed.operation
    const inUse = await this.#ask(() => kekIdsInUse(store, targetKekId, kekIds, {}))
    // The page is older than a reload that took away KEKs which no record needs any more: it is read again.
    if (inUse.size === 0 && this.#claimed.target.source === null) return null
    if (await this.#ask(() => this.#with.othersHold(kekIds))) {
      // Shown until somebody gets on: each of those others may lack something else.
      this.#shard = {
        ...this.#shard,
        lastError: { code: 'ERR_KEK_NOT_LOADED', message: leftToOthers(kekIds) },
      }
      return await this.#release('left')
    }
    return await this.#fail('ERR_KEK_NOT_LOADED', missing(kekIds))
  }

  /**
   * Re-wraps a page. An outage of a key provider is waited out, with the lease kept and the reason shown.
   *
   * @returns The plan, or `null` when told to stop before there was one.
   */
  async #plan(page: Page<RewrapItem>, snapshot: KeyringSnapshot, kek: Kek): Promise<BatchPlan | null> {
    const leaving = new AbortController()
    const leave = (): void => leaving.abort()
    this.#patience.signal.addEventListener('abort', leave)
    const basis = this.#reader.basis(snapshot.document, kek, leaving.signal)
    let knownBefore = 0
    // A throttled provider answers some calls: those are not asked again, and the rest need not wait for long.
    const hasProgressed = (): boolean => {
      const progressed = basis.known.size > knownBefore
      knownBefore = basis.known.size
      return progressed
    }
    const mostMs = this.#claimed.operation.pauseAfterMs
    const planning = this.#patience.insist(() => this.#showing(() => planBatch(page.items, basis)), {
      leaving: leaving.signal,
      hasProgressed,
      mostMs,
    })
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

  /** Asks where the records are kept. An outage is waited out as in planning: what is away may not be where leases are kept. */
  async #ask<T>(call: () => Promise<T>): Promise<T> {
    const { pauseAfterMs: mostMs } = this.#claimed.operation
    return await this.#keepLease(this.#patience.insist(() => this.#showing(call), { mostMs }))
  }

  /** Makes a call; why it failed is shown with the next save, if it is to be made again. */
  async #showing<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call()
    } catch (error) {
      if (isEnvelopeError(error) && error.retryable) {
        const { code, message } = error
        this.#shard = { ...this.#shard, lastError: { code, message } }
      }
      throw error
    }
  }

  /** Waits for work, saving the shard meanwhile, so that nobody takes a slow worker for a dead one. */
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
      try {
        await this.#save(this.#shard)
      } catch (error) {
        // Nothing is left running in a vault that has closed.
        if (this.#patience.stopping) await ended.catch(() => null)
        throw error
      }
    }
  }

  async #noteFailures({ failures }: BatchPlan): Promise<void> {
    const { operation, shard } = this.#claimed
    const first = this.#shard.totals.failed
    for (const [index, failure] of failures.entries()) {
      const { reason, kekId } = failure
      this.#with.emit({ type: 'quarantined', operationId: operation.id, kekId, reason })
      if (first + index >= LISTED_FAILURES) continue
      await this.#insist(() => this.#with.log.noteFailure(operation, shard.index, first + index, failure, {}))
    }
  }

  async #saveProgress(page: Page<RewrapItem>, totals: RotationTotals, isFenced: boolean): Promise<void> {
    const before = this.#shard
    const nowMs = this.#with.runtime.monotonicMs()
    const perSecond = this.#speed.note(totals.scanned, nowMs - this.#countedMs)
    this.#countedMs = nowMs
    const counted: ShardRecord = {
      ...before,
      totals: sumOfTotals([before.totals, totals]),
      foundInPass: before.foundInPass + totals.scanned - totals.failed - totals.alreadyCurrent,
      perSecond,
      lastError: null,
    }
    // A fenced page is read again: some of its records are still as they were.
    if (isFenced) return await this.#save(counted)
    if (page.next !== null) {
      this.#shard = { ...counted, cursor: page.next }
      this.#isUnsaved = true
      if (nowMs - this.#savedMs >= SAVE_EVERY_MS) await this.#save(this.#shard)
      return
    }
    await this.#save({ ...counted, done: true, cursor: null, worker: null, perSecond: 0 })
  }

  /** Waits for the pace, saving the shard meanwhile, so that nobody takes a slow worker for a dead one. */
  async #rest(delayMs: number): Promise<void> {
    const longest = this.#with.leaseMs / 3
    const isLong = this.#with.runtime.monotonicMs() + delayMs - this.#savedMs >= SAVE_EVERY_MS
    if (this.#isUnsaved && delayMs > 0 && isLong) await this.#save(this.#shard)
    for (let leftMs = delayMs; ; leftMs -= longest) {
      await this.#patience.sleep(Math.max(0, Math.min(leftMs, longest)))
      if (leftMs <= longest || this.#isStopping()) return
      await this.#heed()
      if (this.#calledOff) return
      await this.#save(this.#shard)
    }
  }

  /** A job may reach an instance before the promotion does: only a fresh look tells that another KEK is current. */
  async #keyringFor(targetKekId: string): Promise<KeyringSnapshot | null> {
    const { snapshot } = this.#with.keyring
    const isExpected = snapshot !== null && currentKekId(snapshot.document) === targetKekId
    return isExpected || (snapshot !== null && this.#claimed.operation.dryRun)
      ? snapshot
      : await this.#refreshKeyring()
  }

  async #refreshKeyring(): Promise<KeyringSnapshot | null> {
    return await this.#insist(() => this.#with.keyring.refresh({}))
  }

  async #fail(code: string, message: string): Promise<ShardEnd> {
    await this.#release('stopped')
    return { end: 'failed', error: { code: code as EnvelopeError['code'], message } }
  }

  async #release(end: 'called_off' | 'stopped' | 'left'): Promise<ShardEnd> {
    await this.#save({ ...this.#shard, worker: null, perSecond: 0 })
    return { end }
  }

  async #save(shard: ShardRecord): Promise<void> {
    const record = { ...shard, savedAt: this.#now() }
    const { operation, onSaved, shard: claimed } = this.#claimed
    const revision = await this.#insist(() =>
      this.#with.log.saveShard(operation, { index: claimed.index, record, revision: this.#revision }, {}),
    )
    if (revision === null) throw new TakenOver()
    this.#shard = record
    this.#revision = revision
    this.#isUnsaved = false
    this.#savedMs = this.#with.runtime.monotonicMs()
    if (this.#operation !== null) onSaved(this.#operation, record.totals)
  }

  async #insist<T>(call: () => Promise<T>): Promise<T> {
    return await this.#patience.insist(call, { mostMs: this.#claimed.operation.pauseAfterMs })
  }

  #isStopping(): boolean {
    return this.#patience.stopping || this.#claimed.signal?.aborted === true
  }

  #now(): string {
    return timestamp(this.#with.runtime)
  }
}

import { isEnvelopeError } from '../errors.ts'
import { currentKekId, kekEntry } from '../lifecycle/keyring-document.ts'
import type { WaitingFor } from '../lifecycle/promote.ts'
import { type Timer, timestamp, uuidV7 } from '../runtime.ts'
import { NO_TOTALS, type RotationError } from './operation.ts'
import type { LoggedOperation } from './operation-log.ts'
import { OperationProgress } from './operation-progress.ts'
import {
  isDone,
  type LoggedShard,
  type OperationRecord,
  type ShardPlace,
  totalsOf,
} from './operation-record.ts'
import { Patience, Stopped } from './patience.ts'
import type { ShardJob } from './runner.ts'
import { ShardDesk, shardKey } from './shard-desk.ts'
import { ShardLeases } from './shard-leases.ts'
import { fruitless, notRewrapped, superseded, unwished } from './stop-messages.ts'
import type { RotationSurroundings } from './surroundings.ts'

/** What a new operation is told. */
export interface OperationDraft {
  readonly targetKekId: string
  readonly waitingFor: readonly WaitingFor[]
  readonly ratePerSecond: number | null
  readonly concurrency: number
  readonly dryRun: boolean
  readonly pauseAfterMs: number
}

/** The most shards of a store: enough that many workers end at about the same time. */
const SHARDS = 16
/** Others may take what a pass has found from it now and then; what nobody can move is found for ever. */
const FRUITLESS_PASSES = 10
/** The most instances that an operation names as waited for: its document is bounded, and a fleet is not. */
const NAMED_INSTANCES = 50

/**
 * Carries an operation on: divides it into shards, has them worked on, begins the next pass and ends it. Any number of engines
 * may do so on one store; each step is one conditional write, a lease per shard saves work, and correctness rests on neither.
 */
export class RotationEngine {
  readonly #with: RotationSurroundings
  readonly #patience: Patience
  readonly #leases: ShardLeases
  readonly #progress: OperationProgress
  readonly #desk: ShardDesk
  #advancing: Promise<void> | null = null
  #again = false
  #alarm: Timer | null = null
  #unwished: { readonly operationId: string; readonly sinceMs: number } | null = null

  constructor(surroundings: RotationSurroundings) {
    this.#with = surroundings
    this.#patience = new Patience(surroundings.runtime, (error) => this.#fault(error))
    this.#leases = new ShardLeases(surroundings.runtime, surroundings.instanceId)
    this.#progress = new OperationProgress(surroundings.emit)
    this.#desk = new ShardDesk(surroundings, {
      patience: this.#patience,
      leases: this.#leases,
      progress: this.#progress,
      onFault: (error) => this.#fault(error),
    })
  }

  /** A new operation, not yet begun. */
  draft(draft: OperationDraft): OperationRecord {
    const at = this.#now()
    return {
      id: uuidV7(this.#with.runtime),
      status: 'running',
      ...draft,
      waitingFor: draft.waitingFor.slice(0, NAMED_INSTANCES),
      pass: 1,
      round: 1,
      shards: null,
      totals: NO_TOTALS,
      expected: null,
      rewrappedBefore: 0,
      fruitlessPasses: 0,
      startedAt: at,
      updatedAt: at,
      completedAt: null,
      pausedBy: null,
      lastError: null,
    }
  }

  /** Begins to take shards from the runner. */
  async start(): Promise<void> {
    await this.#with.runner.start(async (job, options = {}) => {
      const outcome = await this.#desk.work(job, options.signal)
      // What could not be done here is tried again with the next heartbeat, not at once.
      if (outcome.outcome === 'done') this.wake()
      return outcome
    })
  }

  /** Tells those who listen how an operation stands. */
  tell(record: OperationRecord): void {
    this.#progress.tell(record)
  }

  /** Looks for something to do; returns at once. To be called when something has changed and with every heartbeat. */
  wake(): void {
    if (this.#patience.stopping) return
    this.#again = true
    this.#advancing ??= this.#advanceWhileAsked().finally(() => {
      this.#advancing = null
      // Asked for while it was ending.
      if (this.#again) this.wake()
    })
  }

  /** Stops after the batches that are running, with their progress saved and the shards free for the next worker. */
  async stop(): Promise<void> {
    this.#patience.stop()
    this.#alarm?.cancel()
    try {
      await this.#with.runner.stop()
    } catch (error) {
      // A job engine that fails must not keep this instance in the fleet.
      this.#fault(error)
    }
    await this.#advancing
  }

  async #advanceWhileAsked(): Promise<void> {
    while (this.#again && !this.#patience.stopping) {
      this.#again = false
      try {
        let goesOn = true
        while (goesOn && !this.#patience.stopping) {
          const found = await this.#insist(() => this.#with.log.newest({}))
          goesOn = found?.record.status === 'running' && (await this.#advance(found))
        }
      } catch (error) {
        if (!(error instanceof Stopped)) this.#fault(error)
      }
    }
  }

  /** Does what the operation needs next. Answers whether to look again at once. */
  async #advance(found: LoggedOperation): Promise<boolean> {
    const { record } = found
    const snapshot = await this.#insist(() => this.#with.keyring.refresh({}))
    if (snapshot === null) return false
    const current = currentKekId(snapshot.document)
    if (current !== record.targetKekId) {
      if (kekEntry(snapshot.document, record.targetKekId) !== undefined) {
        const message = superseded(record.targetKekId, current)
        await this.#desk.end(record, { code: 'ERR_PROMOTION_BLOCKED', message })
        return true
      }
      if (!record.dryRun) return await this.#awaitPromotion(found)
    }
    // Left to an instance that can wrap under the target.
    if (this.#with.targetKek(record.targetKekId) === null) return false
    if (record.shards === null) return await this.#divide(found)
    const shards = await this.#insist(() => this.#with.log.shards(record, {}))
    this.#progress.see(record, shards)
    const done = (index: number): boolean =>
      isDone(record, shards.find((each) => each.index === index)?.record)
    const open = record.shards.map((_, index) => index).filter((index) => !done(index))
    if (open.length === 0) return await this.#finishPass(found, shards)
    await this.#handOut(record, open, shards)
    return false
  }

  async #awaitPromotion({ record, revision }: LoggedOperation): Promise<boolean> {
    const { runtime, leaseMs, log } = this.#with
    const outlook = await this.#insist(() => this.#with.outlook(record.targetKekId))
    const nowMs = runtime.monotonicMs()
    if (outlook.wished) this.#unwished = null
    else if (this.#unwished?.operationId !== record.id)
      this.#unwished = { operationId: record.id, sinceMs: nowMs }
    // Two leases: a restart of the only instance that wishes it must not end the operation.
    if (this.#unwished !== null && nowMs - this.#unwished.sinceMs > 2 * leaseMs) {
      await this.#desk.end(record, { code: 'ERR_PROMOTION_BLOCKED', message: unwished(record.targetKekId) })
      return true
    }
    const waitingFor = outlook.waitingFor.slice(0, NAMED_INSTANCES)
    if (JSON.stringify(waitingFor) === JSON.stringify(record.waitingFor)) return false
    const next = { ...record, waitingFor, updatedAt: this.#now() }
    if ((await this.#insist(() => log.save(next, revision, {}))) !== null) this.tell(next)
    return false
  }

  /** Divides the work. A rate holds for all of it together, which is simplest where one worker does one shard. */
  async #divide({ record, revision }: LoggedOperation): Promise<boolean> {
    const { store, log, sources } = this.#with
    const most = record.ratePerSecond === null ? SHARDS : 1
    const parts = await this.#insist(async () => (await store.shards?.(most)) ?? [null])
    const places: ShardPlace[] = parts.map((part) => ({ source: null, part }))
    for (const { source } of sources()) places.push({ source, part: null })
    const stale = await this.#countStale(record.targetKekId)
    const next: OperationRecord = {
      ...record,
      shards: places,
      // Totals go on after a retry.
      expected: stale === null ? null : record.totals.scanned + stale,
      waitingFor: [],
      updatedAt: this.#now(),
    }
    const saved = await this.#insist(() => log.save(next, revision, {}))
    if (saved !== null) this.tell(next)
    return true
  }

  /** Counts what there is to do, for those who watch. A store that takes too long for that is not waited for. */
  async #countStale(targetKekId: string): Promise<number | null> {
    try {
      const census = await this.#with.store.census({ upToOf: { [targetKekId]: 0 } })
      return [...census].reduce((sum, [id, count]) => (id === targetKekId ? sum : sum + count), 0)
    } catch (error) {
      if (isEnvelopeError(error) && error.retryable) return null
      throw error
    }
  }

  async #finishPass({ record, revision }: LoggedOperation, shards: readonly LoggedShard[]): Promise<boolean> {
    const { log } = this.#with
    const found = shards.reduce((sum, shard) => sum + shard.record.foundInPass, 0)
    const totals = totalsOf(record, shards)
    if (found > 0 && !record.dryRun) {
      const fruitlessPasses = totals.rewrapped > record.rewrappedBefore ? 0 : record.fruitlessPasses + 1
      if (fruitlessPasses >= FRUITLESS_PASSES) {
        await this.#desk.end(record, fruitlessIn(record, shards))
        return true
      }
      const counted = { rewrappedBefore: totals.rewrapped, fruitlessPasses }
      const next = { ...record, ...counted, pass: record.pass + 1, updatedAt: this.#now() }
      const saved = await this.#insist(() => log.save(next, revision, {}))
      if (saved !== null) this.tell(next)
      return true
    }
    const at = this.#now()
    const failed = totals.failed > 0
    const next: OperationRecord = {
      ...record,
      status: failed ? 'failed' : 'completed',
      shards: null,
      totals,
      updatedAt: at,
      completedAt: at,
      lastError: failed
        ? { code: 'ERR_DECRYPT_FAILED', message: notRewrapped(totals.failed, record.dryRun) }
        : null,
    }
    if ((await this.#insist(() => log.save(next, revision, {}))) === null) return true
    this.tell(next)
    await this.#insist(() => log.forgetShards(record, {}))
    return false
  }

  /** Has the shards worked on that nobody works on, and looks again when the first lease of a silent worker ends. */
  async #handOut(
    record: OperationRecord,
    open: readonly number[],
    shards: readonly LoggedShard[],
  ): Promise<void> {
    const { runner, runtime } = this.#with
    const { id: operationId, pass, concurrency } = record
    const waits: number[] = []
    const jobs: ShardJob[] = []
    for (const index of open) {
      if (this.#desk.targetOf(record, index) === null) continue
      const waitMs = this.#leases.waitMs(
        shardKey(operationId, index),
        shards.find((each) => each.index === index),
      )
      if (waitMs > 0) waits.push(waitMs)
      else if (!this.#desk.standsBack) jobs.push({ operationId, pass, shard: index })
    }
    // Not everybody begins with the first.
    const [random = 0] = runtime.randomBytes(1)
    const turn = random % Math.max(1, jobs.length)
    if (jobs.length > 0) {
      await runner.enqueue([...jobs.slice(turn), ...jobs.slice(0, turn)], { concurrency })
    }
    this.#alarm?.cancel()
    if (waits.length > 0) this.#alarm = runtime.timer(() => this.wake(), Math.min(...waits))
  }

  async #insist<T>(call: () => Promise<T>): Promise<T> {
    return await this.#patience.insist(call)
  }

  #fault(error: unknown): void {
    const known = isEnvelopeError(error)
    // The text of an error that is not ours may hold anything.
    const message = known
      ? error.message
      : 'The rotation met an unexpected error and goes on at the next heartbeat.'
    this.#with.emit({ type: 'fault', during: 'rotation', code: known ? error.code : 'unexpected', message })
  }

  #now(): string {
    return timestamp(this.#with.runtime)
  }
}

function fruitlessIn({ shards: places }: OperationRecord, shards: readonly LoggedShard[]): RotationError {
  const where = shards
    .filter(({ record }) => record.foundInPass > 0)
    .map(({ index }) => places?.[index]?.source ?? null)
  const sources = where.filter((source) => source !== null)
  return sources.length < where.length
    ? { code: 'ERR_STORE_CONTRACT', message: fruitless(FRUITLESS_PASSES, []) }
    : { code: 'ERR_SOURCE_CONTRACT', message: fruitless(FRUITLESS_PASSES, sources) }
}

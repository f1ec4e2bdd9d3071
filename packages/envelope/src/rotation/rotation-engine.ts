import { type EnvelopeError, isEnvelopeError } from '../errors.ts'
import { currentKekId, kekEntry } from '../lifecycle/keyring-document.ts'
import type { WaitingFor } from '../lifecycle/promote.ts'
import { type Timer, timestamp, uuidV7 } from '../runtime.ts'
import { NO_TOTALS, type RotationTotals, sumOfTotals, withoutFailed } from './operation.ts'
import { changeOperation } from './operation-changes.ts'
import type { LoggedOperation } from './operation-log.ts'
import {
  isDone,
  type LoggedShard,
  type OperationRecord,
  type ShardPlace,
  totalsOf,
} from './operation-record.ts'
import { LongOutage, Patience, Stopped } from './patience.ts'
import type { RewrapTarget } from './rewrap-target.ts'
import type { ShardJob, ShardOutcome } from './runner.ts'
import { ShardLeases } from './shard-leases.ts'
import { type ShardEnd, ShardWorker, TakenOver } from './shard-worker.ts'
import { notRewrapped, superseded, unwished } from './stop-messages.ts'
import { storeTarget } from './store-target.ts'
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
const DONE: ShardOutcome = { outcome: 'done' }
const STOPPED: ShardOutcome = { outcome: 'stopped' }

/**
 * Carries an operation on: divides it into shards, has them worked on, begins the next pass and ends it. Any number of engines
 * may do so on one store; each step is one conditional write, a lease per shard saves work, and correctness rests on neither.
 */
export class RotationEngine {
  readonly #with: RotationSurroundings
  readonly #patience: Patience
  readonly #leases: ShardLeases
  readonly #inHand = new Set<string>()
  #advancing: Promise<void> | null = null
  #again = false
  #alarm: Timer | null = null
  /** Until then an instance that holds more KEKs is given the first go. */
  #standBackUntilMs = 0
  #unwished: { readonly operationId: string; readonly sinceMs: number } | null = null
  /** What is known of the shards of one round, for those who listen. */
  #seen: { readonly of: string; readonly totals: Map<number, RotationTotals> } = { of: '', totals: new Map() }

  constructor(surroundings: RotationSurroundings) {
    this.#with = surroundings
    this.#patience = new Patience(surroundings.runtime, (error) => this.#fault(error))
    this.#leases = new ShardLeases(surroundings.runtime, surroundings.instanceId)
  }

  /** A new operation, not yet begun. */
  draft(draft: OperationDraft): OperationRecord {
    const at = this.#now()
    return {
      id: uuidV7(this.#with.runtime),
      status: 'running',
      ...draft,
      pass: 1,
      round: 1,
      shards: null,
      totals: NO_TOTALS,
      expected: null,
      startedAt: at,
      updatedAt: at,
      completedAt: null,
      pausedBy: null,
      lastError: null,
    }
  }

  /** Begins to take shards from the runner. */
  async start(): Promise<void> {
    await this.#with.runner.start((job, options = {}) => this.#work(job, options.signal))
  }

  /** Looks for something to do; returns at once. To be called when something has changed and with every heartbeat. */
  wake(): void {
    if (this.#patience.stopping) return
    this.#again = true
    this.#advancing ??= this.#advanceWhileAsked().finally(() => {
      this.#advancing = null
    })
  }

  /** Stops after the batches that are running, with their progress saved and the shards free for the next worker. */
  async stop(): Promise<void> {
    this.#patience.stop()
    this.#alarm?.cancel()
    await this.#with.runner.stop()
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
        await this.#end(record, { code: 'ERR_PROMOTION_BLOCKED', message })
        return true
      }
      if (!record.dryRun) return await this.#awaitPromotion(found)
    }
    // Left to an instance that can wrap under the target.
    if (this.#with.targetKek(record.targetKekId) === null) return false
    if (record.shards === null) return await this.#divide(found)
    const shards = await this.#insist(() => this.#with.log.shards(record, {}))
    this.#see(record, shards)
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
      await this.#end(record, { code: 'ERR_PROMOTION_BLOCKED', message: unwished(record.targetKekId) })
      return true
    }
    const { waitingFor } = outlook
    if (JSON.stringify(waitingFor) === JSON.stringify(record.waitingFor)) return false
    const next = { ...record, waitingFor, updatedAt: this.#now() }
    await this.#insist(() => log.save(next, revision, {}))
    this.tell(next)
    return false
  }

  /** Divides the work. A rate holds for all of it together, which is simplest where one worker does one shard. */
  async #divide({ record, revision }: LoggedOperation): Promise<boolean> {
    const { store, log, sources } = this.#with
    const most = record.ratePerSecond === null ? SHARDS : 1
    const parts = await this.#insist(async () => (await store.shards?.(most)) ?? [null])
    const places: ShardPlace[] = parts.map((part) => ({ source: null, part }))
    for (const { source } of sources()) places.push({ source, part: null })
    const expected = await this.#countStale(record.targetKekId)
    const next: OperationRecord = {
      ...record,
      shards: places,
      expected,
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
    if (found > 0 && !record.dryRun) {
      const next = { ...record, pass: record.pass + 1, updatedAt: this.#now() }
      const saved = await this.#insist(() => log.save(next, revision, {}))
      if (saved !== null) this.tell(next)
      return true
    }
    const totals = totalsOf(record, shards)
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
      if (this.#targetOf(record, index) === null) continue
      const waitMs = this.#leases.waitMs(
        `${operationId}/${index}`,
        shards.find((each) => each.index === index),
      )
      if (waitMs > 0) waits.push(waitMs)
      else if (runtime.monotonicMs() >= this.#standBackUntilMs) jobs.push({ operationId, pass, shard: index })
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

  async #work(job: ShardJob, signal: AbortSignal | undefined): Promise<ShardOutcome> {
    const key = `${job.operationId}/${job.shard}`
    if (this.#patience.stopping) return STOPPED
    if (this.#inHand.has(key)) return this.#busy(this.#with.leaseMs / 3)
    this.#inHand.add(key)
    try {
      return await this.#workOn(job, key, signal)
    } catch (error) {
      if (error instanceof Stopped || this.#patience.stopping) return STOPPED
      if (error instanceof TakenOver) return this.#busy(this.#with.leaseMs)
      if (error instanceof LongOutage) return await this.#pauseFor(error.met, job)
      this.#fault(error)
      return this.#busy(this.#with.leaseMs)
    } finally {
      this.#inHand.delete(key)
      this.wake()
    }
  }

  async #workOn(
    { operationId, pass, shard: index }: ShardJob,
    key: string,
    signal?: AbortSignal,
  ): Promise<ShardOutcome> {
    const { log, instanceId, leaseMs, targetKek } = this.#with
    const found = await this.#insist(() => log.newest({}))
    const operation = found?.record
    if (operation?.id !== operationId || operation.status !== 'running' || operation.pass !== pass)
      return DONE
    const place = operation.shards?.[index]
    if (place === undefined) return DONE
    const known = await this.#insist(() => log.shard(operation, index, {}))
    if (isDone(operation, known?.record)) return DONE
    const waitMs = this.#leases.waitMs(key, known ?? undefined)
    if (waitMs > 0) return this.#busy(waitMs)
    const target = this.#targetOf(operation, index)
    if (target === null || targetKek(operation.targetKekId) === null) return this.#busy(leaseMs)
    const before = known?.record
    const record =
      before?.pass === pass
        ? { ...before, worker: instanceId, leaseMs, savedAt: this.#now() }
        : {
            pass,
            done: false,
            cursor: null,
            totals: withoutFailed(before?.totals ?? NO_TOTALS),
            foundInPass: 0,
            perSecond: 0,
            savedAt: this.#now(),
            worker: instanceId,
            leaseMs,
            lastError: null,
          }
    const shard = { index, record, revision: known?.revision ?? 0 }
    const revision = await this.#insist(() => log.saveShard(operation, shard, {}))
    if (revision === null) return this.#busy(leaseMs)
    const worker = new ShardWorker(this.#with, this.#patience, {
      operation,
      shard: { index, record, revision, ageMs: 0 },
      target,
      part: place.part,
      ...(signal === undefined ? {} : { signal }),
      onSaved: (totals) => {
        this.#knownTotals(operation).set(index, totals)
        this.tell(operation)
      },
    })
    return await this.#conclude(operation, await worker.carryOn())
  }

  async #conclude(operation: OperationRecord, ended: ShardEnd): Promise<ShardOutcome> {
    const { leaseMs, runtime } = this.#with
    switch (ended.end) {
      case 'done':
      case 'called_off':
        return DONE
      case 'stopped':
        return STOPPED
      case 'left':
        this.#standBackUntilMs = runtime.monotonicMs() + leaseMs
        return this.#busy(leaseMs)
      case 'failed':
        await this.#end(operation, ended.error)
        return DONE
    }
  }

  /** Ends an operation before its time. */
  async #end(
    { id, pass }: OperationRecord,
    lastError: Pick<EnvelopeError, 'code' | 'message'>,
  ): Promise<void> {
    const ended = await this.#change(id, (record) =>
      record.status === 'running' && record.pass === pass
        ? { ...record, status: 'failed', completedAt: this.#now(), lastError }
        : null,
    )
    if (ended !== null) this.tell(ended)
  }

  /** Pauses the operation over an outage. While the store itself is away that cannot be noted: the work then goes on with it. */
  async #pauseFor({ code, message }: EnvelopeError, job: ShardJob): Promise<ShardOutcome> {
    try {
      const paused = await this.#change(job.operationId, (record) =>
        record.status === 'running'
          ? { ...record, status: 'paused', pausedBy: 'outage', lastError: { code, message } }
          : null,
      )
      if (paused !== null) this.tell(paused)
      return DONE
    } catch (error) {
      this.#fault(error)
      return this.#busy(this.#with.leaseMs)
    }
  }

  async #change(
    operationId: string,
    change: (record: OperationRecord) => OperationRecord | null,
  ): Promise<OperationRecord | null> {
    const { log } = this.#with
    const parts = { log, at: () => this.#now(), next: () => ({}) }
    return await changeOperation(parts, operationId, ({ record }) => change(record))
  }

  #targetOf({ shards }: OperationRecord, index: number): RewrapTarget | null {
    const { store, namespace, sources } = this.#with
    const source = shards?.[index]?.source ?? null
    if (source === null) return storeTarget(store, namespace)
    return sources().find((each) => each.source === source) ?? null
  }

  #busy(retryAfterMs: number): ShardOutcome {
    return { outcome: 'busy', retryAfterMs: Math.ceil(retryAfterMs) }
  }

  async #insist<T>(call: () => Promise<T>): Promise<T> {
    return await this.#patience.insist(call)
  }

  #knownTotals({ id, round }: OperationRecord): Map<number, RotationTotals> {
    const of = `${id}/${round}`
    if (this.#seen.of !== of) this.#seen = { of, totals: new Map() }
    return this.#seen.totals
  }

  #see(record: OperationRecord, shards: readonly LoggedShard[]): void {
    const known = this.#knownTotals(record)
    for (const { index, record: shard } of shards) known.set(index, shard.totals)
  }

  /** Tells those who listen how an operation stands. */
  tell(record: OperationRecord): void {
    const { id: operationId, status, pass, targetKekId, dryRun } = record
    // After the end the shards are part of the operation's own totals.
    const parts = record.shards === null ? [] : this.#knownTotals(record).values()
    const { scanned, rewrapped, failed } = sumOfTotals([record.totals, ...parts])
    const totals = { scanned, rewrapped, failed }
    this.#with.emit({ type: 'rotation', operationId, status, pass, targetKekId, dryRun, ...totals })
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

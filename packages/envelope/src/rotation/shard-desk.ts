import { timestamp } from '../runtime.ts'
import { STORE_LIMITS } from '../store/limits.ts'
import { BatchSize } from './batch-size.ts'
import { NO_TOTALS, type RotationError, withoutFailed } from './operation.ts'
import { changeOperation } from './operation-changes.ts'
import type { OperationProgress } from './operation-progress.ts'
import { isDone, type OperationRecord, type ShardPlace, type ShardRecord } from './operation-record.ts'
import { Pace } from './pace.ts'
import { LongOutage, type Patience, Stopped } from './patience.ts'
import type { RewrapTarget } from './rewrap-target.ts'
import type { ShardJob, ShardOutcome } from './runner.ts'
import type { ShardLeases } from './shard-leases.ts'
import { type ShardEnd, ShardWorker, TakenOver } from './shard-worker.ts'
import { storeTarget } from './store-target.ts'
import type { RotationSurroundings } from './surroundings.ts'

const DONE: ShardOutcome = { outcome: 'done' }
const STOPPED: ShardOutcome = { outcome: 'stopped' }

/** What the desk shares with its engine. */
export interface DeskParts {
  readonly patience: Patience
  readonly leases: ShardLeases
  readonly progress: OperationProgress
  readonly onFault: (error: unknown) => void
}

/** Takes the jobs that a runner brings: claims the shard, has it worked on, and says what became of the job. */
export class ShardDesk {
  readonly #with: RotationSurroundings
  readonly #parts: DeskParts
  readonly #inHand = new Set<string>()
  #batches: { readonly of: string; readonly sizes: Map<string | null, BatchSize> } = {
    of: '',
    sizes: new Map(),
  }
  /** Until then an instance that holds more KEKs is given the first go. */
  #standBackUntilMs = 0

  constructor(surroundings: RotationSurroundings, parts: DeskParts) {
    this.#with = surroundings
    this.#parts = parts
  }

  /** Whether this instance leaves the work to others for now. */
  get standsBack(): boolean {
    return this.#with.runtime.monotonicMs() < this.#standBackUntilMs
  }

  /** Where the records of a shard are; `null` for a source that this instance has not declared. */
  targetOf({ shards }: OperationRecord, index: number): RewrapTarget | null {
    const { store, namespace, sources } = this.#with
    const source = shards?.[index]?.source ?? null
    if (source === null) return storeTarget(store, namespace)
    return sources().find((each) => each.source === source) ?? null
  }

  /** Works on one job. Never rejects. */
  async work(job: ShardJob, signal: AbortSignal | undefined): Promise<ShardOutcome> {
    const { patience, onFault } = this.#parts
    const { leaseMs } = this.#with
    const key = shardKey(job.operationId, job.shard)
    if (patience.stopping) return STOPPED
    if (this.#inHand.has(key)) return busy(leaseMs / 3)
    this.#inHand.add(key)
    try {
      return await this.#workOn(job, key, signal)
    } catch (error) {
      if (error instanceof Stopped || patience.stopping) return STOPPED
      if (error instanceof TakenOver) return busy(leaseMs)
      if (error instanceof LongOutage) return await this.#pauseFor(error, job)
      onFault(error)
      return busy(leaseMs)
    } finally {
      this.#inHand.delete(key)
    }
  }

  /**
   * Ends an operation before its time.
   *
   * @throws StoreError when the store does not answer.
   */
  async end({ id, pass }: OperationRecord, lastError: RotationError): Promise<void> {
    await this.#change(id, (record) =>
      record.status === 'running' && record.pass === pass
        ? { ...record, status: 'failed', completedAt: this.#now(), lastError }
        : null,
    )
  }

  async #workOn(
    { operationId, pass, shard: index }: ShardJob,
    key: string,
    signal?: AbortSignal,
  ): Promise<ShardOutcome> {
    const { log, leaseMs, targetKek } = this.#with
    const { patience, leases, progress } = this.#parts
    const operation = (await patience.insist(() => log.newest({})))?.record
    if (operation?.id !== operationId || operation.status !== 'running' || operation.pass !== pass)
      return DONE
    const place = operation.shards?.[index]
    if (place === undefined) return DONE
    const known = await patience.insist(() => log.shard(operation, index, {}))
    if (isDone(operation, known?.record)) return DONE
    const waitMs = leases.waitMs(key, known ?? undefined)
    if (waitMs > 0) return busy(waitMs)
    const target = this.targetOf(operation, index)
    if (target === null || targetKek(operation.targetKekId) === null) return busy(leaseMs)
    const record = this.#claimOf(operation, known?.record)
    const claim = { index, record, revision: known?.revision ?? 0 }
    const revision = await patience.insist(() => log.saveShard(operation, claim, {}))
    if (revision === null) return busy(leaseMs)
    const worker = new ShardWorker(this.#with, patience, {
      operation,
      shard: { index, record, revision, ageMs: 0 },
      target,
      part: place.part,
      batch: this.#batchOf(operation, place),
      ...(signal === undefined ? {} : { signal }),
      onSaved: (seen, totals) => progress.save(seen, index, totals),
    })
    return await this.#conclude(operation, await worker.carryOn())
  }

  /** Shards of one place have one store: each begins with what the last one has learnt. */
  #batchOf({ id, ratePerSecond }: OperationRecord, { source }: ShardPlace): BatchSize {
    if (this.#batches.of !== id) this.#batches = { of: id, sizes: new Map() }
    const { sizes } = this.#batches
    const pace = new Pace(ratePerSecond ?? Number.POSITIVE_INFINITY)
    const size = sizes.get(source) ?? new BatchSize(pace.batch(STORE_LIMITS.changes))
    sizes.set(source, size)
    return size
  }

  /** Goes on where the last worker of this pass was, or begins the pass. */
  #claimOf({ pass }: OperationRecord, before: ShardRecord | undefined): ShardRecord {
    const { instanceId: worker, leaseMs } = this.#with
    const savedAt = this.#now()
    if (before?.pass === pass) return { ...before, worker, leaseMs, savedAt }
    const totals = withoutFailed(before?.totals ?? NO_TOTALS)
    const progress = { done: false, cursor: null, totals, foundInPass: 0, perSecond: 0, lastError: null }
    return { pass, ...progress, savedAt, worker, leaseMs }
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
        return busy(leaseMs)
      case 'failed':
        await this.end(operation, ended.error)
        return DONE
    }
  }

  /** Pauses the operation over an outage. While the store itself is away that cannot be noted: the work then goes on with it. */
  async #pauseFor({ met: { code, message } }: LongOutage, job: ShardJob): Promise<ShardOutcome> {
    try {
      await this.#change(job.operationId, (record) =>
        record.status === 'running'
          ? { ...record, status: 'paused', pausedBy: 'outage', lastError: { code, message } }
          : null,
      )
      return DONE
    } catch (error) {
      this.#parts.onFault(error)
      return busy(this.#with.leaseMs)
    }
  }

  async #change(
    operationId: string,
    change: (record: OperationRecord) => OperationRecord | null,
  ): Promise<void> {
    const { log } = this.#with
    const parts = { log, at: () => this.#now(), next: () => ({}) }
    const changed = await changeOperation(parts, operationId, ({ record }) => change(record))
    if (changed !== null) this.#parts.progress.tell(changed)
  }

  #now(): string {
    return timestamp(this.#with.runtime)
  }
}

/** Names a shard of an operation among those of all. */
export function shardKey(operationId: string, shard: number): string {
  return `${operationId}/${shard}`
}

function busy(retryAfterMs: number): ShardOutcome {
  return { outcome: 'busy', retryAfterMs: Math.ceil(retryAfterMs) }
}

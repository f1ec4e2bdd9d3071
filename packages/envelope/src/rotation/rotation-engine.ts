import { isEnvelopeError } from '../errors.ts'
import { currentKekId } from '../lifecycle/keyring-document.ts'
import type { WaitingFor } from '../lifecycle/promote.ts'
import { timestamp, uuidV7 } from '../runtime.ts'
import { NO_TOTALS, type RotationOperation } from './operation.ts'
import type { LoggedOperation } from './operation-log.ts'
import { Patience, Stopped } from './patience.ts'
import { LeftToOthers, RotationWorker, TakenOver } from './rotation-worker.ts'
import type { RotationSurroundings } from './surroundings.ts'

/**
 * Looks for an operation to work on, claims it and hands it to a worker. Any number of engines may run on one store; a lease
 * decides who works, and correctness never rests on it.
 */
export class RotationEngine {
  readonly #with: RotationSurroundings
  readonly #patience: Patience
  #work: Promise<void> | null = null
  #again = false
  /** Until then an instance that holds more KEKs is given the first go. */
  #standBackUntilMs = 0
  /** When a foreign worker's save was first seen, for stores without a clock. */
  #watched: { readonly revision: number; readonly sinceMs: number } | null = null

  constructor(surroundings: RotationSurroundings) {
    this.#with = surroundings
    this.#patience = new Patience(surroundings.runtime, (error) => this.#fault(error))
  }

  /** A new operation, not yet begun. */
  draft(
    targetKekId: string,
    ratePerSecond: number | null,
    waitingFor: readonly WaitingFor[],
  ): RotationOperation {
    const at = timestamp(this.#with.runtime)
    return {
      id: uuidV7(this.#with.runtime),
      status: 'running',
      targetKekId,
      waitingFor,
      totals: NO_TOTALS,
      pass: 1,
      cursor: null,
      foundInPass: 0,
      ratePerSecond,
      startedAt: at,
      updatedAt: at,
      completedAt: null,
      lastError: null,
      worker: null,
      leaseMs: this.#with.leaseMs,
    }
  }

  /** Looks for work; returns at once. To be called when something has changed and with every heartbeat. */
  wake(): void {
    if (this.#patience.stopping) return
    this.#again = true
    this.#work ??= this.#workWhileThereIsSome().finally(() => {
      this.#work = null
    })
  }

  /** Ends a wait for a promotion early: the keyring document has changed. */
  rouse(): void {
    this.#patience.rouse()
  }

  /** Stops after the batch that is running, with its progress saved and the operation free for the next worker. */
  async stop(): Promise<void> {
    this.#patience.stop()
    await this.#work
  }

  async #workWhileThereIsSome(): Promise<void> {
    while (this.#again && !this.#patience.stopping) {
      this.#again = false
      try {
        const claimed = await this.#patience.insist(() => this.#claim())
        if (claimed !== null) await new RotationWorker(this.#with, this.#patience, claimed).carryOn()
      } catch (error) {
        if (error instanceof LeftToOthers) this.#standBackUntilMs = this.#nowMs() + this.#with.leaseMs
        else if (!(error instanceof Stopped) && !(error instanceof TakenOver)) this.#fault(error)
      }
    }
  }

  async #claim(): Promise<LoggedOperation | null> {
    const { log, instanceId, leaseMs, runtime } = this.#with
    if (this.#nowMs() < this.#standBackUntilMs) return null
    const found = await log.newest({})
    if (found === null || found.operation.status !== 'running') return null
    const { operation } = found
    if (
      operation.worker !== null &&
      operation.worker !== instanceId &&
      this.#ageMs(found) <= operation.leaseMs
    ) {
      return null
    }
    const snapshot = await this.#with.keyring.refresh({})
    if (snapshot === null) return null
    // Left to an instance that can wrap under the target.
    const isCurrent = currentKekId(snapshot.document) === operation.targetKekId
    if (isCurrent && this.#with.targetKek(operation.targetKekId) === null) return null
    const mine = { ...operation, worker: instanceId, leaseMs, updatedAt: timestamp(runtime) }
    const revision = await log.save(mine, found.revision, {})
    return revision === null ? null : { operation: mine, revision, ageMs: 0 }
  }

  #ageMs(found: LoggedOperation): number {
    if (found.ageMs !== null) return found.ageMs
    const nowMs = this.#nowMs()
    if (this.#watched?.revision !== found.revision)
      this.#watched = { revision: found.revision, sinceMs: nowMs }
    return nowMs - this.#watched.sinceMs
  }

  #nowMs(): number {
    return this.#with.runtime.monotonicMs()
  }

  #fault(error: unknown): void {
    const known = isEnvelopeError(error)
    // The text of an error that is not ours may hold anything.
    const message = known
      ? error.message
      : 'The rotation met an unexpected error and goes on at the next heartbeat.'
    this.#with.emit({ type: 'fault', during: 'rotation', code: known ? error.code : 'unexpected', message })
  }
}

import { setImmediate } from 'node:timers/promises'
import { isEnvelopeError } from '@talos/envelope'
import type { Connection } from './connection.ts'
import { type Deadline, pause } from './deadline.ts'
import { Busy } from './failures.ts'

/** The most changes and bytes of one transaction, which stops the event loop while it runs. */
export const TRANSACTION_LIMIT = { changes: 256, bytes: 4_194_304 } as const

/** What a write weighs in a transaction. */
export interface Weight {
  readonly changes: number
  readonly bytes: number
}

interface Job {
  readonly weight: Weight
  readonly deadline: Deadline
  readonly step: () => unknown
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: unknown) => void
}

/**
 * Runs the writes of one store. Those that arrive in the same turn of the event loop share a transaction and so one wait
 * for the disk; while another process holds the write lock one attempt is made for all, and the event loop goes on.
 */
export class WriteQueue {
  readonly #connection: Connection
  #jobs: Job[] = []
  #running = false
  /** How many jobs at the head run in a transaction each, since they failed together. */
  #apart = 0

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /**
   * Runs a step inside a write transaction, in the order of the calls.
   *
   * @param step - Synchronous. It may share its transaction with other steps: all take effect, or none does.
   * @returns What the step returned, once it is on disk.
   */
  add<T>(weight: Weight, deadline: Deadline, step: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#jobs.push({
        weight,
        deadline,
        step,
        resolve: (answer) => resolve(answer as T),
        reject,
      })
      if (!this.#running) void this.#run()
    })
  }

  async #run(): Promise<void> {
    this.#running = true
    let obstacle: Busy | null = null
    let attempt = 0
    while (this.#jobs.length > 0) {
      // Lets the calls of this turn gather, and everybody else have the next one.
      if (obstacle === null) await setImmediate()
      else await pause(attempt, this.#leastLeftMs())
      this.#dropEnded(obstacle)
      const batch = this.#nextBatch()
      if (batch.length === 0) continue
      try {
        const answers = this.#connection.transaction('write', () => batch.map(({ step }) => step()))
        for (const [index, job] of batch.entries()) job.resolve(answers[index])
        obstacle = null
        attempt = 0
      } catch (error) {
        if (error instanceof Busy) {
          this.#jobs.unshift(...batch)
          obstacle = error
          attempt += 1
        } else if (batch.length > 1 && !isOutcomeUnknown(error)) {
          // Nothing was written, and none may fail for another's sake.
          this.#jobs.unshift(...batch)
          this.#apart = batch.length
        } else {
          for (const job of batch) job.reject(error)
        }
      }
    }
    this.#running = false
  }

  #dropEnded(obstacle: Error | null): void {
    this.#jobs = this.#jobs.filter(({ deadline, reject }) => {
      const end = deadline.passed(obstacle)
      if (end !== null) reject(end)
      return end === null
    })
  }

  #leastLeftMs(): number {
    return this.#jobs.reduce((least, { deadline }) => Math.min(least, deadline.leftMs), Infinity)
  }

  #nextBatch(): Job[] {
    if (this.#apart > 0) {
      this.#apart -= 1
      return this.#jobs.splice(0, 1)
    }
    const total = { changes: 0, bytes: 0 }
    let count = 0
    for (const { weight } of this.#jobs) {
      total.changes += weight.changes
      total.bytes += weight.bytes
      const full = total.changes > TRANSACTION_LIMIT.changes || total.bytes > TRANSACTION_LIMIT.bytes
      if (full && count > 0) break
      count += 1
    }
    return this.#jobs.splice(0, count)
  }
}

function isOutcomeUnknown(error: unknown): boolean {
  return isEnvelopeError(error) && error.code === 'ERR_STORE_OUTCOME_UNKNOWN'
}

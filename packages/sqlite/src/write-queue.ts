import { setImmediate } from 'node:timers/promises'
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
      else await pause(attempt, Math.min(...this.#jobs.map(({ deadline }) => deadline.leftMs)))
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

  #nextBatch(): Job[] {
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

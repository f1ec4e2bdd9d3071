import {
  type CallOptions,
  type RotationRunner,
  type ShardJob,
  type ShardWork,
  StoreError,
} from '@talos/envelope'
import { answered } from './answered.ts'
import type { PgBossInstance, PgBossJob, PgBossNewJob } from './pg-boss.ts'
import { prepareQueue } from './rotation-queue.ts'
import { shardJobOf, singletonKeyOf } from './shard-data.ts'

const DEFAULT_QUEUE = 'talos-rotation'
const DEFAULT_CONCURRENCY = 1
const MOST_CONCURRENCY = 8
const DEFAULT_POLLING_SECONDS = 2
const LEAST_POLLING_SECONDS = 0.5
/** Of the time that pg-boss leaves to a job: then its worker hands it on, which costs no retry. */
const HANDED_ON_AFTER = 0.9

/** Options of {@link pgBossRunner}. */
export interface PgBossRunnerOptions {
  /**
   * A started `PgBoss` of pg-boss 12.12 or later. It is the caller's, who listens to its `error` event and stops it after the
   * vault is closed.
   */
  readonly boss: PgBossInstance
  /**
   * Name of the queue: one for each keyring domain. Where there is none it is made; one that is there keeps its settings, and
   * needs the policy `exclusive` and `heartbeatSeconds`.
   *
   * @defaultValue talos-rotation
   */
  readonly queue?: string
  /**
   * Name of the queue that gets the jobs which failed more often than `retryLimit` says: for a queue that the runner makes,
   * and made with it. A dead letter is a notice; the vault hands the shard out again.
   *
   * @defaultValue none
   */
  readonly deadLetter?: string
  /**
   * How many shards this process works on at once: 1 to 8. It stands in for `concurrency` of `vault.rotate`, which this
   * runner does not look at. More than one helps where the store is far away.
   *
   * @defaultValue 1
   */
  readonly concurrency?: number
  /** How often it asks for a shard while there is none, in seconds: 0.5 to 3,600. @defaultValue 2 */
  readonly pollingIntervalSeconds?: number
}

/**
 * Makes a runner that has the shards of rotations worked on as jobs of pg-boss, by every process that opens its vault with one
 * on the same queue. Give each vault a runner of its own.
 *
 * A shard that waits or runs is never there a second time. The job of a killed worker is given to another one after
 * `heartbeatSeconds`, 10 unless told, once pg-boss looks for such jobs, which it does every minute unless
 * `monitorIntervalSeconds` and `superviseIntervalSeconds` of the `PgBoss` say otherwise.
 *
 * Nothing happens before the vault starts it.
 *
 * @throws TypeError for options of the wrong form; from `openVault` also for a queue of unfit settings.
 */
export function pgBossRunner(options: PgBossRunnerOptions): RotationRunner {
  return new PgBossRunner(options)
}

class PgBossRunner implements RotationRunner {
  readonly #boss: PgBossInstance
  readonly #queue: string
  readonly #deadLetter: string | undefined
  readonly #concurrency: number
  readonly #pollingIntervalSeconds: number
  readonly #stopping = new AbortController()
  readonly #workerIds: string[] = []
  #prepared: Promise<void> | undefined
  #started = false

  constructor(options: PgBossRunnerOptions) {
    const { boss, queue = DEFAULT_QUEUE, deadLetter } = options
    const { concurrency = DEFAULT_CONCURRENCY, pollingIntervalSeconds = DEFAULT_POLLING_SECONDS } = options
    if (typeof boss?.work !== 'function') throw new TypeError('boss is a started PgBoss.')
    if (typeof queue !== 'string' || queue === '') throw new TypeError('queue is the name of a queue.')
    if (deadLetter === queue)
      throw new TypeError('deadLetter is the name of another queue than that of the jobs.')
    if (!Number.isSafeInteger(concurrency) || concurrency < 1 || concurrency > MOST_CONCURRENCY)
      throw new TypeError(`concurrency is a whole number from 1 to ${MOST_CONCURRENCY}.`)
    if (!(pollingIntervalSeconds >= LEAST_POLLING_SECONDS && pollingIntervalSeconds <= 3_600))
      throw new TypeError(`pollingIntervalSeconds is a number from ${LEAST_POLLING_SECONDS} to 3,600.`)
    this.#boss = boss
    this.#queue = queue
    this.#deadLetter = deadLetter
    this.#concurrency = concurrency
    this.#pollingIntervalSeconds = pollingIntervalSeconds
  }

  async start(work: ShardWork): Promise<void> {
    if (this.#started) throw new TypeError('A runner serves one vault. Make another one with pgBossRunner.')
    this.#started = true
    await this.#prepare()
    const polling = {
      pollingIntervalSeconds: this.#pollingIntervalSeconds,
      // On a queue with `notify` a worker would sleep half a minute after each job, however many wait.
      notifyPollingIntervalSeconds: this.#pollingIntervalSeconds,
    }
    // One worker a call: not every version stops all of those that one call began.
    while (this.#workerIds.length < this.#concurrency && !this.#stopping.signal.aborted) {
      let id = ''
      id = await this.#boss.work(this.#queue, polling, async ([job]) => {
        await this.#handle(job as PgBossJob, work)
        // Without that it would sleep until its next turn, however many shards wait.
        this.#boss.notifyWorker(id)
      })
      this.#workerIds.push(id)
    }
  }

  async enqueue(jobs: readonly ShardJob[], options: CallOptions): Promise<void> {
    if (jobs.length === 0) return
    try {
      // In one order everywhere: two instances that insert the same jobs in two would lock each other out.
      const sorted = [...jobs].sort((a, b) => a.shard - b.shard)
      await answered(this.#insert(sorted.map(waiting)), options)
    } catch (error) {
      // The queue may have been deleted: it is looked for again.
      this.#prepared = undefined
      if (error instanceof TypeError) throw error
      throw new StoreError(
        'ERR_STORE_OUTCOME_UNKNOWN',
        `Shards may not have reached the queue "${this.#queue}" of pg-boss: ${messageOf(error)}. They are put there again.`,
        { retryable: true, cause: error },
      )
    }
  }

  async stop(): Promise<void> {
    const ends = this.#workerIds.map((id) => this.#boss.offWork(this.#queue, { id, wait: true }))
    // Only now: a worker that takes no more jobs cannot take the one that it puts back.
    this.#stopping.abort()
    await Promise.all(ends)
  }

  async #insert(jobs: PgBossNewJob[]): Promise<void> {
    await this.#prepare()
    await this.#boss.insert(this.#queue, jobs)
    for (const id of this.#workerIds) this.#boss.notifyWorker(id)
  }

  #prepare(): Promise<void> {
    this.#prepared ??= prepareQueue(this.#boss, this.#queue, this.#deadLetter)
    return this.#prepared
  }

  async #handle(job: PgBossJob, work: ShardWork): Promise<void> {
    const shardJob = shardJobOf(job.data)
    const signal = AbortSignal.any([
      this.#stopping.signal,
      job.signal,
      AbortSignal.timeout(job.expireInSeconds * 1_000 * HANDED_ON_AFTER),
    ])
    const result = this.#stopping.signal.aborted
      ? ({ outcome: 'stopped' } as const)
      : await work(shardJob, { signal })
    // What pg-boss took away it has put back itself.
    if (result.outcome === 'done' || job.signal.aborted) return
    // Failing it would put it back too, and use up a retry. A process that dies between these two calls leaves the shard to
    // the vaults, which see that nobody works on it.
    await this.#boss.complete(this.#queue, job.id)
    const startAfter = result.outcome === 'busy' ? result.retryAfterMs / 1_000 : 0
    await this.#boss.insert(this.#queue, [{ ...waiting(shardJob), startAfter }])
  }
}

function waiting(job: ShardJob): PgBossNewJob {
  const { operationId, pass, shard } = job
  return { data: { operationId, pass, shard }, singletonKey: singletonKeyOf(job) }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

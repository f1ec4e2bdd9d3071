import { type RotationRunner, type ShardJob, StoreError } from '@talos/envelope'
import { type ConnectionOptions, DelayedError, Queue, WaitingError, Worker } from 'bullmq'

/** Options of {@link bullmqRunner}. */
export interface BullmqRunnerOptions {
  /** A Redis server with `maxmemory-policy noeviction`. */
  readonly connection: ConnectionOptions
  /** One for each keyring domain. */
  readonly queue: string
  /** How many shards this process works on at once. */
  readonly concurrency: number
  /** After this many milliseconds without a sign of life the shard of a killed process is given to another one. */
  readonly lockMs?: number
}

/** Has the shards of rotations worked on as jobs of BullMQ. */
export function bullmqRunner({
  connection,
  queue: name,
  concurrency,
  lockMs = 15_000,
}: BullmqRunnerOptions): RotationRunner {
  // A call to a server that is away is refused and made again later, instead of waiting in memory.
  const queue = new Queue<ShardJob>(name, { connection: { ...connection, enableOfflineQueue: false } })
  // BullMQ connects again by itself.
  queue.on('error', () => {})
  const stopping = new AbortController()
  let worker: Worker<ShardJob> | undefined

  return {
    async start(work) {
      worker = new Worker<ShardJob>(
        name,
        async (job, token) => {
          const result = await work(job.data, { signal: stopping.signal })
          // Neither of both counts as an attempt.
          if (result.outcome === 'busy') {
            await job.moveToDelayed(Date.now() + result.retryAfterMs, token)
            throw new DelayedError()
          }
          if (result.outcome === 'stopped') {
            await job.moveToWait(token)
            throw new WaitingError()
          }
        },
        {
          connection: { ...connection, maxRetriesPerRequest: null },
          concurrency,
          lockDuration: lockMs,
          stalledInterval: Math.ceil(lockMs / 3),
          // A shard outlives any number of processes.
          maxStalledCount: Number.MAX_SAFE_INTEGER,
        },
      )
      worker.on('error', () => {})
      await worker.waitUntilReady()
    },

    async enqueue(jobs) {
      const added = jobs.map((data) => ({
        name: 'shard',
        data,
        opts: {
          // A job with the id of one that waits or runs is not added. One that has ended must not be in the way.
          jobId: `${data.operationId}-${data.pass}-${data.shard}`,
          removeOnComplete: true,
          removeOnFail: true,
        },
      }))
      try {
        await queue.addBulk(added)
      } catch (cause) {
        const message = `Shards may not have reached the queue "${name}" of BullMQ. They are put there again.`
        throw new StoreError('ERR_STORE_OUTCOME_UNKNOWN', message, { retryable: true, cause })
      }
    },

    async stop() {
      const closed = worker?.close()
      // Only now: a worker that takes no more jobs cannot take the one that it puts back.
      stopping.abort()
      await closed
      await queue.close()
    },
  }
}

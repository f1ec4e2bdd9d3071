import type { EnqueueOptions, RotationRunner, ShardJob, ShardWork } from './runner.ts'

/** Works on shards in this process, a few at once. Whatever it forgets is handed to it again with the next heartbeat. */
export class InProcessRunner implements RotationRunner {
  readonly #waiting = new Map<string, ShardJob>()
  readonly #inHand = new Map<string, Promise<void>>()
  #work: ShardWork | null = null
  #lanes = 1

  async start(work: ShardWork): Promise<void> {
    this.#work = work
  }

  async enqueue(jobs: readonly ShardJob[], { concurrency }: EnqueueOptions): Promise<void> {
    this.#lanes = concurrency
    for (const job of jobs) {
      const key = `${job.operationId}/${job.pass}/${job.shard}`
      if (!this.#inHand.has(key)) this.#waiting.set(key, job)
    }
    this.#fill()
  }

  async stop(): Promise<void> {
    this.#work = null
    this.#waiting.clear()
    await Promise.all(this.#inHand.values())
  }

  #fill(): void {
    for (const [key, job] of this.#waiting) {
      if (this.#work === null || this.#inHand.size >= this.#lanes) return
      this.#waiting.delete(key)
      const working = this.#work(job).then(() => {
        this.#inHand.delete(key)
        this.#fill()
      })
      this.#inHand.set(key, working)
    }
  }
}

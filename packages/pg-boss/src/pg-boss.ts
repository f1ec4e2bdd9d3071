/** What the runner reads of a queue. */
export interface PgBossQueue {
  readonly policy?: string
  readonly heartbeatSeconds?: number | null
}

/** The settings of a queue that the runner makes. */
export interface PgBossQueueSettings {
  policy?: string
  heartbeatSeconds?: number
  expireInSeconds?: number
  deleteAfterSeconds?: number
  retryLimit?: number
  retryDelay?: number
  retryBackoff?: boolean
  retryDelayMax?: number
  deadLetter?: string
}

/** A job as it is put into a queue. */
export interface PgBossNewJob {
  data: object
  singletonKey: string
  /** Seconds from now. */
  startAfter?: number
}

/** A job as a worker gets it. */
export interface PgBossJob {
  readonly id: string
  readonly data: unknown
  /** Seconds after which pg-boss takes the job away from its worker. */
  readonly expireInSeconds: number
  /** Aborted when the job is no longer this worker's. */
  readonly signal: AbortSignal
}

/** The part of `PgBoss` that the runner uses. The caller makes it, starts it, listens to its errors and stops it. */
export interface PgBossInstance {
  /** Reads a queue; `null` where there is none. */
  getQueue(name: string): Promise<PgBossQueue | null>
  /** Makes a queue, and leaves one of that name as it is. */
  createQueue(name: string, settings?: PgBossQueueSettings): Promise<void>
  /** Puts jobs into a queue, without those that its policy refuses. */
  insert(name: string, jobs: PgBossNewJob[]): Promise<unknown>
  /** Begins to take jobs, and answers the worker's id. */
  work(
    name: string,
    options: { pollingIntervalSeconds: number; notifyPollingIntervalSeconds: number },
    handler: (jobs: PgBossJob[]) => Promise<unknown>,
  ): Promise<string>
  /** Lets a worker ask for the next job at once. */
  notifyWorker(id: string): void
  /** Ends a job that is worked on. */
  complete(name: string, id: string): Promise<unknown>
  /** Stops a worker; with `wait` after the job in hand. */
  offWork(name: string, options: { id: string; wait: boolean }): Promise<void>
}

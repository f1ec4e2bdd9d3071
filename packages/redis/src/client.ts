/** What a command is given. */
export type RedisArgument = string | Buffer | number

/** The part of ioredis' `Redis` and `Cluster` that the store uses. The caller makes it, owns it and ends it. */
export interface RedisClient {
  /** `end` once the caller has closed it. */
  readonly status: string
  /** Whether it is a `Cluster`. */
  readonly isCluster?: boolean
  /** How it was set up. The store reads whether a Sentinel names its server, and changes nothing. */
  readonly options?: { readonly sentinels?: unknown }
  /** Sends a command and answers texts. */
  call(command: string, args: RedisArgument[]): Promise<unknown>
  /** Sends a command and answers bytes. */
  callBuffer(command: string, args: RedisArgument[]): Promise<unknown>
  /** ioredis has it and does not declare it. It is used where it is there, for `callBuffer` loses its command when pipelines are automatic. */
  evalshaBuffer?(...args: RedisArgument[]): Promise<unknown>
  /** The same for `EVAL`. */
  evalBuffer?(...args: RedisArgument[]): Promise<unknown>
  /** Hears of connections that break. */
  on(event: string, listener: () => void): unknown
}

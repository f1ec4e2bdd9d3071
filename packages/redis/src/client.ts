/** What a command is given. */
export type RedisArgument = string | Buffer | number

/** The part of ioredis' `Redis` and `Cluster` that the store uses. The caller makes it, owns it and ends it. */
export interface RedisClient {
  /** `end` once the caller has closed it. */
  readonly status: string
  /** Whether it is a `Cluster`. */
  readonly isCluster?: boolean
  /** How it was set up. The store reads whether a Sentinel names its server, and changes nothing. */
  readonly options?: object
  /** Sends a command and answers texts. */
  call(command: string, args: RedisArgument[]): Promise<unknown>
  /** Sends a command and answers bytes. */
  callBuffer(command: string, args: RedisArgument[]): Promise<unknown>
  /** Runs a script and answers texts. */
  eval(source: string, keys: number, ...args: RedisArgument[]): Promise<unknown>
  /** Runs a script that the server knows by its hash. */
  evalsha(sha: string, keys: number, ...args: RedisArgument[]): Promise<unknown>
  /**
   * Answers bytes. ioredis has it and does not declare it; it is used where it is there, for `callBuffer` loses its command when
   * pipelines are automatic.
   */
  evalBuffer?(source: string, keys: number, ...args: RedisArgument[]): Promise<unknown>
  /** The same by the script's hash. */
  evalshaBuffer?(sha: string, keys: number, ...args: RedisArgument[]): Promise<unknown>
  /** Hears of connections that break. */
  on(event: string, listener: () => void): unknown
}

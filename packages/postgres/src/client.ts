/** One statement as `pg` takes it. */
export interface PostgresQuery {
  readonly text: string
  readonly values?: unknown[]
  /** Makes the statement a prepared one that the connection keeps. */
  readonly name?: string
  /** Answers how a column's text is read; the store reads every column as text and leaves the driver's own parsers alone. */
  readonly types?: {
    /** Returns what turns a column's text into a value. */
    getTypeParser(): (text: string) => string
  }
}

/** The part of `pg`'s result that the store uses. */
export interface PostgresResult {
  readonly rows: readonly unknown[]
}

/**
 * The part of `pg`'s `Client` that the store uses. With `host`, `port` and `ssl` a statement that is
 * running can be cancelled; without them its connection is given up instead.
 */
export interface PostgresClient {
  /** Runs one statement. */
  query(query: PostgresQuery): Promise<PostgresResult>
  /** Hears of a connection that breaks while no statement runs on it. */
  on(event: 'error', listener: (error: Error) => void): unknown
  /** Takes a listener away again. */
  removeListener(event: 'error', listener: (error: Error) => void): unknown
  /** `I` outside of a transaction; not every version of `pg` tells. */
  getTransactionStatus?(): string | null
  readonly host?: string
  readonly port?: number
  readonly ssl?: unknown
}

/** A client that a pool has lent. */
export interface PostgresPoolClient extends PostgresClient {
  /** Gives it back; with `true` the connection is closed instead of lent again. */
  release(destroy?: boolean): void
}

/** The part of `pg`'s `Pool` that the store uses. The caller makes it, owns it and ends it. */
export interface PostgresPool {
  /** Lends a connection. */
  connect(): Promise<PostgresPoolClient>
  /** Hears of connections that break while nobody uses them. */
  on(event: 'error', listener: (error: Error) => void): unknown
  /** Tells how many listeners there are. */
  listenerCount(event: 'error'): number
}

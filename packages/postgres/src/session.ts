import { StoreError } from '@talos/envelope'
import { cancelStatement } from './cancel.ts'
import type { PostgresClient, PostgresPool, PostgresPoolClient, PostgresQuery } from './client.ts'
import type { Deadline } from './deadline.ts'
import { connectFailure, type Failure, failureOf } from './failures.ts'
import { prepared } from './prepared.ts'

/** One row, every column as the text PostgreSQL writes for it. */
export type Row = Readonly<Record<string, string | null>>

/** A statement of the store. */
export interface Statement {
  readonly text: string
  /** Whether it changes anything: then its outcome is unknown when the connection breaks. */
  readonly writes: boolean
}

/** Something that statements can be run on. */
export interface Session {
  /** Whether statements take effect with the application's transaction, and not by themselves. */
  readonly inside: boolean
  run(statement: Statement, values: readonly unknown[], deadline: Deadline): Promise<readonly Row[]>
}

/** How long a statement may take to answer once it was asked to stop. */
const CANCEL_GRACE_MS = 3_000
/** How long after a request to cancel the next one follows while the statement goes on. */
const CANCEL_AGAIN_MS = 200
const LONGEST_PAUSE_MS = 50

/** Reads every column as text, whatever the driver was told. */
export const TYPES = { getTypeParser: () => (text: string) => text }

/** How one attempt to run a statement ended. */
type Attempt = { readonly rows: readonly Row[] } | { readonly failure: Failure; readonly connected: boolean }

/** Runs each statement in a transaction of its own on a client that the pool lends for it, until it succeeds. */
export class PoolSession implements Session {
  readonly inside = false
  readonly #pool: PostgresPool
  readonly #named: boolean

  constructor(pool: PostgresPool, named: boolean) {
    this.#pool = pool
    this.#named = named
  }

  /**
   * @throws StoreError. A statement that may be repeated is, until the time of the call is up: all of the store's
   * statements answer a repetition as the first time.
   */
  async run(statement: Statement, values: readonly unknown[], deadline: Deadline): Promise<readonly Row[]> {
    let doubtful = false
    for (let attempt = 1; ; attempt += 1) {
      const ended = await this.attempt(statement, values, deadline)
      if ('rows' in ended) return ended.rows
      const { failure } = ended
      if (failure.kind === 'retry') {
        doubtful ||= statement.writes && failure.mayBeWritten
        await deadline.pause(Math.min(LONGEST_PAUSE_MS, 2 ** attempt))
        if (!deadline.passed) continue
      }
      throw outcome(
        failure,
        deadline,
        doubtful || (failure.kind === 'lost' && statement.writes && ended.connected),
      )
    }
  }

  /** Runs a statement once. */
  async attempt(statement: Statement, values: readonly unknown[], deadline: Deadline): Promise<Attempt> {
    const lent = await this.borrow(deadline)
    if ('failure' in lent) return { failure: lent.failure, connected: false }
    const { client, giveBack } = lent
    const query = toQuery(statement, values, this.#named)
    const { rows, failure, clean } = await runOn(client, query, deadline)
    giveBack(!clean)
    return failure === null ? { rows } : { failure, connected: true }
  }

  /** Borrows a client for several statements. */
  async borrow(
    deadline: Deadline,
  ): Promise<
    | { readonly client: PostgresPoolClient; readonly giveBack: (destroy: boolean) => void }
    | { readonly failure: Failure }
  > {
    if (deadline.passed) return refused(deadline, null)
    listen(this.#pool)
    const connecting = this.#pool.connect()
    const client = await inTime(connecting, deadline).catch((error: unknown) => ({
      failure: connectFailure(error),
    }))
    if (client === null) {
      // It may still come; nobody is there to use it.
      connecting.then(
        (late) => late.release(),
        () => {},
      )
      return refused(deadline, 'the pool lent no connection')
    }
    if ('failure' in client) return client
    // While it is lent, the pool does not listen, and an error nobody listens to would end the process.
    const ignore = () => {}
    client.on('error', ignore)
    const giveBack = (destroy: boolean) => {
      client.removeListener('error', ignore)
      client.release(destroy)
    }
    return { client, giveBack }
  }
}

/** Runs statements inside the transaction that the application has begun on its own client. */
export class TransactionSession implements Session {
  readonly inside = true
  readonly #client: PostgresClient
  readonly #named: boolean

  constructor(client: PostgresClient, named: boolean) {
    this.#client = client
    this.#named = named
  }

  /** @throws StoreError. Nothing is repeated: after an error the transaction can only be rolled back. */
  async run(statement: Statement, values: readonly unknown[], deadline: Deadline): Promise<readonly Row[]> {
    if (deadline.passed) throw deadline.refusal()
    if (statement.writes && this.#client.getTransactionStatus?.() === 'I') {
      throw new StoreError(
        'ERR_STORE_CONFIGURATION',
        'the client is in no transaction; run BEGIN on it before store.within(client) writes',
      )
    }
    const { rows, failure } = await runOn(this.#client, toQuery(statement, values, this.#named), deadline)
    if (failure === null) return rows
    if (failure.kind === 'final') throw failure.error
    const why =
      failure.kind === 'retry' ? failure.why : failure.kind === 'lost' ? 'the connection broke' : null
    throw new StoreError(
      'ERR_STORE_UNAVAILABLE',
      `${why ?? (deadline.passed ? deadline.why(null) : 'the statement was cancelled')}; nothing was written: roll back the transaction and repeat it from its begin`,
      { retryable: true, cause: failure.cause },
    )
  }
}

function toQuery({ text }: Statement, values: readonly unknown[], named: boolean): PostgresQuery {
  return { text, values: [...values], types: TYPES, ...(named ? { name: prepared(text) } : {}) }
}

/**
 * Runs a statement and cancels it when its time is up.
 *
 * @returns `clean` tells whether the client may be lent to the next one.
 */
async function runOn(client: PostgresClient, query: PostgresQuery, deadline: Deadline) {
  const running = client.query(query).then(
    ({ rows }) => ({ rows: rows as readonly Row[], failure: null, clean: true }),
    (error: unknown) => {
      const failure = failureOf(error)
      return { rows: [], failure, clean: failure.kind !== 'lost' }
    },
  )
  const ended = await inTime(running, deadline)
  if (ended !== null) return ended
  const cancelled = cancelUntilEnded(client, running)
  const last = await Promise.race([running, after(CANCEL_GRACE_MS)])
  if (last === null) {
    const cause = new Error('the server did not answer a request to cancel the statement')
    return { rows: [], failure: { kind: 'lost', cause } as const, clean: false }
  }
  // A request that came too late for this statement must not meet the next one.
  await cancelled
  return { ...last, clean: last.failure?.kind === 'cancelled' }
}

/**
 * Asks for a statement to be cancelled, and asks again while it goes on: a pooler drops a request that comes before the
 * statement has a connection to the server.
 *
 * @returns When the statement has ended or its grace is over, and no request is under way.
 */
async function cancelUntilEnded(client: PostgresClient, running: Promise<unknown>): Promise<void> {
  let over = false
  const end = () => {
    over = true
  }
  void Promise.race([running, after(CANCEL_GRACE_MS)]).then(end)
  const requests: Promise<void>[] = []
  while (!over) {
    // One that is stuck on its way must not use up the time of those behind it.
    requests.push(cancelStatement(client))
    await Promise.race([running, after(CANCEL_AGAIN_MS)])
  }
  await Promise.all(requests)
}

/** What a promise answers, or `null` when the call may not go on before that. */
async function inTime<T>(promise: Promise<T>, deadline: Deadline): Promise<T | null> {
  let stop = () => {}
  const passed = new Promise<null>((resolve) => {
    stop = deadline.onPassed(() => resolve(null))
  })
  try {
    return await Promise.race([promise, passed])
  } finally {
    stop()
  }
}

function after(milliseconds: number): Promise<null> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(null), milliseconds).unref()
  })
}

function refused(deadline: Deadline, obstacle: string | null): { readonly failure: Failure } {
  return { failure: { kind: 'final', error: deadline.refusal(obstacle) } }
}

/** The error a caller sees, for a statement that will not be repeated. */
export function outcome(failure: Failure, deadline: Deadline, doubtful: boolean): unknown {
  if (failure.kind === 'final' && !doubtful) return failure.error
  const cause = failure.kind === 'final' ? failure.error : failure.cause
  const why =
    failure.kind === 'final'
      ? (failure.error as Error).message
      : deadline.passed
        ? deadline.why(failure.kind === 'retry' ? failure.why : null)
        : failure.kind === 'lost'
          ? 'the connection broke'
          : 'the statement was cancelled'
  return doubtful
    ? new StoreError(
        'ERR_STORE_OUTCOME_UNKNOWN',
        `${why}; the write may have taken effect: repeat the call or read again`,
        {
          retryable: true,
          cause,
        },
      )
    : new StoreError('ERR_STORE_UNAVAILABLE', `${why}; nothing was written`, { retryable: true, cause })
}

/**
 * Keeps an idle connection that breaks from ending the process: `pg` raises it as an `error` event of the pool, after it has
 * thrown the connection away. A listener of the application's own takes its place.
 */
function listen(pool: PostgresPool): void {
  if (pool.listenerCount('error') === 0) pool.on('error', () => {})
}

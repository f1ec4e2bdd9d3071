import { type CallOptions, isEnvelopeError } from '@talos/envelope'
import type { Pool, PoolConnection } from 'mysql2/promise'
import { Budget } from './budget.ts'
import { asStoreError, isConflict, serverErrno } from './errors.ts'
import { examine } from './fitness.ts'
import { Session } from './session.ts'
import { sql } from './sql.ts'

const LONGEST_PAUSE_MS = 100

/** What a transaction has done. */
export interface Done<T> {
  readonly answer: T
  /** Whether there is anything to commit. */
  readonly wrote: boolean
}

/** The inside of a transaction. `attempt` counts from 1. */
export type Transaction<T> = (session: Session, attempt: number) => Promise<Done<T>>

/** Runs statements and transactions on connections of the caller's pool, each within the budget of its call. */
export class Client {
  readonly #pool: Pool
  /** Connections that have been examined, so that each is once. */
  readonly #examined = new WeakSet<object>()

  constructor(pool: Pool) {
    this.#pool = pool
  }

  /** Runs one call. @throws StoreError with the codes of FAIL-1 and FAIL-2. */
  async call<T>(options: CallOptions | undefined, body: (call: Call) => Promise<T>): Promise<T> {
    return Budget.spend(options, async (budget) => {
      const call = new Call(budget, (inside) => this.#connected(budget, inside))
      try {
        return await body(call)
      } catch (error) {
        throw asStoreError(error, call.unsure)
      }
    })
  }

  async #connected<T>(budget: Budget, body: (session: Session) => Promise<T>): Promise<T> {
    const connection = await this.#borrow(budget)
    const session = new Session(connection, budget)
    let clean = false
    try {
      if (!this.#examined.has(connection.connection)) {
        await examine(session)
        this.#examined.add(connection.connection)
      }
      const answer = await body(session)
      clean = !session.underWay
      return answer
    } catch (error) {
      // A transaction rolls back before it comes here, and whatever cannot is of no use.
      const told = serverErrno(error) !== undefined || isEnvelopeError(error) || error instanceof TypeError
      clean = !session.underWay && told
      throw error
    } finally {
      if (clean) connection.release()
      else this.#abandon(connection, session)
    }
  }

  async #borrow(budget: Budget): Promise<PoolConnection> {
    budget.check()
    const coming = this.#pool.getConnection()
    try {
      return await budget.wait(coming)
    } catch (error) {
      coming.then(
        (late) => late.release(),
        () => {},
      )
      throw error
    }
  }

  /** Closes a connection, which does not end what the server does for it: that takes a KILL from another one. */
  #abandon(connection: PoolConnection, session: Session): void {
    const { threadId } = connection
    connection.destroy()
    if (session.underWay) this.#pool.query(`KILL ${Number(threadId)}`).catch(() => {})
  }
}

/** One call: any number of statements and transactions within one budget. */
export class Call {
  readonly #budget: Budget
  readonly #connected: <T>(body: (session: Session) => Promise<T>) => Promise<T>
  #unsure = false
  #committing = false

  constructor(budget: Budget, connected: <T>(body: (session: Session) => Promise<T>) => Promise<T>) {
    this.#budget = budget
    this.#connected = connected
  }

  /** Whether a COMMIT was sent, so that a failure from then on may be one of a write that took effect. */
  get unsure(): boolean {
    return this.#unsure
  }

  /** Runs statements that are transactions of their own. */
  read<T>(body: (session: Session) => Promise<T>): Promise<T> {
    return this.#connected(body)
  }

  /** Runs a transaction, and runs it again after a conflict until the budget is spent. */
  async transaction<T>(body: Transaction<T>, shortestPauseMs = 0): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#connected((session) => this.#attempt(session, (inside) => body(inside, attempt)))
      } catch (error) {
        if (!isConflict(error) || this.#committing) throw error
      }
      const longest = Math.min(2 ** attempt, LONGEST_PAUSE_MS)
      await this.#budget.pause(shortestPauseMs + Math.random() * longest)
    }
  }

  async #attempt<T>(session: Session, body: (session: Session) => Promise<Done<T>>): Promise<T> {
    // Without SESSION it holds for the next transaction only.
    await session.run(sql`SET TRANSACTION ISOLATION LEVEL READ COMMITTED`)
    await session.run(sql`START TRANSACTION`)
    let done: Done<T>
    try {
      done = await body(session)
    } catch (error) {
      // Where even this fails, the connection is abandoned, which rolls back as well.
      if (!session.underWay) await session.run(sql`ROLLBACK`)
      throw error
    }
    if (!done.wrote) {
      await session.run(sql`ROLLBACK`)
      return done.answer
    }
    this.#unsure = true
    this.#committing = true
    await session.run(sql`COMMIT`)
    this.#committing = false
    return done.answer
  }
}

import type { CallOptions, Change, Outcome } from '@talos/envelope'
import { StoreError } from '@talos/envelope'
import type { Connection } from 'mysql2/promise'
import { Budget } from './budget.ts'
import { applyChanges, batches } from './changes.ts'
import { asStoreError, isDuplicate, NO_SAVEPOINT, serverErrno } from './errors.ts'
import { FOLLOWER, requirePrimary } from './fitness.ts'
import type { Tables } from './schema.ts'
import { type Row, Session } from './session.ts'
import { list, sql } from './sql.ts'

const SET_SAVEPOINT = sql`SAVEPOINT talos_write`
const BACK_TO_SAVEPOINT = sql`ROLLBACK TO SAVEPOINT talos_write`

/** Takes part in a transaction of the caller, on a connection that stays the caller's. */
export class Participant {
  readonly #connection: Connection
  readonly #tables: Tables

  constructor(connection: Connection, tables: Tables) {
    this.#connection = connection
    this.#tables = tables
  }

  /**
   * Reads records and locks them until the transaction ends: in REPEATABLE READ, MariaDB's default, a plain SELECT
   * would answer from a snapshot that may be older than what a write then compares with.
   */
  read(names: readonly string[], options?: CallOptions): Promise<readonly Row[]> {
    return this.#savepoint(options, async (session) => {
      const rows = await session.bounded(
        sql`SELECT ${FOLLOWER}, name, wrap, meta, sealed FROM ${this.#tables.secrets}
          FORCE INDEX (PRIMARY) WHERE name IN ${list(names)} ORDER BY name FOR UPDATE`,
      )
      await requirePrimary(session, rows[0])
      return rows
    })
  }

  /** Makes changes. None is kept when it rejects. */
  write(guard: number, changes: readonly Change[], options?: CallOptions): Promise<readonly Outcome[]> {
    return this.#savepoint(options, async (session) => {
      const outcomes = new Array<Outcome>(changes.length)
      for (const batch of batches(changes)) {
        const { answer } = await applyChanges(session, this.#tables, guard, batch)
        for (const [index, { place }] of batch.entries()) outcomes[place] = answer[index] as Outcome
      }
      return outcomes
    })
  }

  #savepoint<T>(options: CallOptions | undefined, body: (session: Session) => Promise<T>): Promise<T> {
    return Budget.spend(options, async (budget) => {
      const session = new Session(this.#connection, budget)
      try {
        for (;;) {
          await begin(session)
          try {
            return await body(session)
          } catch (error) {
            // Whoever takes a name that another one creates sees the record when he looks again.
            if (!isDuplicate(error)) throw error
            await session.run(BACK_TO_SAVEPOINT)
          }
        }
      } catch (error) {
        // Statements of one connection run in turn: before any that the caller sends from now on, a COMMIT included.
        session.afterwards(BACK_TO_SAVEPOINT)
        throw asStoreError(error, false)
      }
    })
  }
}

/** Outside of a transaction a savepoint is gone as soon as it is set, and every lock with its statement. */
async function begin(session: Session): Promise<void> {
  await session.run(SET_SAVEPOINT)
  try {
    await session.run(BACK_TO_SAVEPOINT)
  } catch (error) {
    if (serverErrno(error) !== NO_SAVEPOINT) throw error
    const message = 'the connection given to within() has no open transaction; run START TRANSACTION first'
    throw new StoreError('ERR_STORE_CONFIGURATION', message)
  }
}

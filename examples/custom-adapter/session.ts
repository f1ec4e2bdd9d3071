import type { Connection } from 'mysql2/promise'
import type { Budget } from './budget.ts'
import { GaveUp } from './errors.ts'
import type { Sql } from './sql.ts'

/** One row: the columns by their names, each as the bytes that the server sent. */
export type Row = Readonly<Record<string, Uint8Array | null>>

/** A connection for the time of one call. Answers have the same shape however the caller has set up the client. */
export class Session {
  readonly #connection: Connection
  readonly #budget: Budget
  #underWay = false

  constructor(connection: Connection, budget: Budget) {
    this.#connection = connection
    this.#budget = budget
  }

  /** Whether a statement was given up that the server may still be busy with. */
  get underWay(): boolean {
    return this.#underWay
  }

  /**
   * Runs a statement that may wait for locks. The server itself ends it when the call's time is over: it does not
   * notice that a client has gone, and a statement that waits for a lock keeps others waiting behind it.
   *
   * @param atMostMs - Ends it earlier than the call does.
   */
  bounded(statement: Sql, atMostMs = Infinity): Promise<readonly Row[]> {
    const seconds = Math.max(1, Math.min(this.#budget.remainingMs(), atMostMs)) / 1000
    // Holds for this statement only and leaves the session's variables alone. To MySQL it is a comment.
    return this.#run(
      `/*M!100200 SET STATEMENT max_statement_time = ${seconds.toFixed(3)} FOR */ ${statement.text}`,
    )
  }

  /** Runs a statement that waits for nobody, or that must not be cut short. */
  run(statement: Sql): Promise<readonly Row[]> {
    return this.#run(statement.text)
  }

  /** Runs a statement after all others, whatever budget is left, and waits for nothing. */
  afterwards(statement: Sql): void {
    this.#connection.query(statement.text).catch(() => {})
  }

  async #run(text: string): Promise<readonly Row[]> {
    this.#budget.check()
    this.#underWay = true
    try {
      const [answer, fields] = await this.#budget.wait(
        this.#connection.query({
          sql: text,
          rowsAsArray: true,
          // Said as well: `nestTables: true` of the caller would leave arrays of nothing.
          nestTables: false,
          // A function: anything else does not take the place of the caller's own.
          typeCast: (field) => field.buffer(),
        }),
      )
      this.#underWay = false
      if (!Array.isArray(answer)) return []
      const columns = fields.map(({ name }) => name)
      return (answer as Uint8Array[][]).map((row) =>
        Object.fromEntries(columns.map((name, index) => [name, row[index] ?? null])),
      )
    } catch (error) {
      if (!(error instanceof GaveUp)) this.#underWay = false
      throw error
    }
  }
}

/** The text in a column. */
export function text(value: Uint8Array | null | undefined): string {
  if (value === null || value === undefined) throw new TypeError('MariaDB answered NULL where it must not')
  return Buffer.from(value.buffer, value.byteOffset, value.length).toString()
}

/** The number in a column. */
export function number(value: Uint8Array | null | undefined): number {
  return Number(text(value))
}

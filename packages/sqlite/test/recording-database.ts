import type { SqliteDatabase, SqliteStatement } from '@talos/envelope-sqlite'

/** Passes everything on to a real database and writes down which statements were run. */
export class RecordingDatabase implements SqliteDatabase {
  readonly #database: SqliteDatabase
  run: string[] = []

  constructor(database: SqliteDatabase) {
    this.#database = database
  }

  exec(sql: string): void {
    this.run.push(sql)
    this.#database.exec(sql)
  }

  prepare(sql: string): SqliteStatement {
    const statement = this.#database.prepare(sql)
    const recorded =
      <A extends unknown[], R>(method: (...values: A) => R) =>
      (...values: A): R => {
        this.run.push(sql)
        return method.apply(statement, values)
      }
    return {
      all: recorded(statement.all),
      get: recorded(statement.get),
      run: recorded(statement.run),
      setReadBigInts: (enabled) => statement.setReadBigInts(enabled),
    }
  }

  /** The statements of each write transaction since `run` was last emptied, without its begin and commit. */
  writes(): string[][] {
    const transactions: string[][] = []
    for (const sql of this.run) {
      if (sql === 'BEGIN IMMEDIATE') transactions.push([])
      else if (/^(INSERT|UPDATE|DELETE)/.test(sql)) transactions.at(-1)?.push(sql)
    }
    return transactions
  }
}

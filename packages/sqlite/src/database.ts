import { DatabaseSync } from 'node:sqlite'

const OPENING_MS = 5_000

/** What SQLite stores in a column of these tables. */
export type SqliteValue = null | number | bigint | string | Uint8Array

/** The part of `StatementSync` that the store uses. */
export interface SqliteStatement {
  /** Runs the statement and returns all rows. */
  all(...values: SqliteValue[]): unknown[]
  /** Runs the statement and returns the first row, or `undefined`. */
  get(...values: SqliteValue[]): unknown
  /** Runs the statement and returns how many rows it changed. */
  run(...values: SqliteValue[]): {
    readonly changes: number | bigint
    readonly lastInsertRowid: number | bigint
  }
  /** Makes integers `bigint` in rows. */
  setReadBigInts(enabled: boolean): void
  /** Missing before Node 22.16, where a row is always an object. */
  setReturnArrays?(enabled: boolean): void
}

/** The part of `DatabaseSync` that the store uses. The caller opens it, owns it and closes it. */
export interface SqliteDatabase {
  /** Runs any number of statements that return no rows. */
  exec(sql: string): void
  /** Compiles one statement. */
  prepare(sql: string): SqliteStatement
}

/**
 * Opens a database file with the settings of a connection that the store asks for: every commit reaches the disk
 * (`synchronous = FULL`), and a lock held by somebody else is an answer instead of a wait that stops the event loop
 * (`busy_timeout = 0`). Write-ahead logging is a property of the file; `migrate()` sets it.
 *
 * @param path - Of the file, which is created where there is none; `:memory:` for a database without one.
 * @returns A connection that is the caller's: to be given to `sqliteStore` and closed after it.
 */
export function openSqliteDatabase(path: string): DatabaseSync {
  // The tables have no foreign keys, and a shared file may have some that were never enforced.
  const database = new DatabaseSync(path, { enableForeignKeyConstraints: false })
  try {
    // Setting it reads the file, which another process locks for a moment when it is the first to migrate.
    database.exec(`PRAGMA busy_timeout = ${OPENING_MS}; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 0`)
  } catch (error) {
    database.close()
    throw error
  }
  return database
}

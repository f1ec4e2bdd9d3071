import { statfsSync } from 'node:fs'
import { StoreError } from '@talos/envelope'
import type { SqliteDatabase, SqliteStatement } from './database.ts'
import { commitFailed, failureOf, isStale } from './failures.ts'

const SYNCHRONOUS_FULL = 2

/** `statfs` types of file systems on which the shared memory of write-ahead logging does not work. */
const NETWORK_FILE_SYSTEMS = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB 2'],
  [0x5346414f, 'AFS'],
])

/** The caller's connection, with what the store needs of it: cached statements, transactions, errors in words. */
export class Connection {
  readonly #database: SqliteDatabase
  readonly #statements = new Map<string, SqliteStatement>()
  #inMemory: boolean | null = null

  constructor(database: SqliteDatabase) {
    this.#database = database
  }

  /** Prepares a statement at its first use. */
  statement(sql: string): SqliteStatement {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#database.prepare(sql)
      // A connection may be opened with other defaults; these are this statement's own.
      statement.setReadBigInts(false)
      statement.setReturnArrays?.(false)
      this.#statements.set(sql, statement)
    }
    return statement
  }

  /** Runs several statements that are used once. */
  script(sql: string): void {
    this.#database.exec(sql)
  }

  /**
   * Runs one synchronous step in a transaction of its own. A `write` holds the database's only write lock from its first
   * statement on, so that what it reads cannot change before it has written.
   *
   * @throws Busy when somebody else is in the way. StoreError otherwise; nothing was written unless its code says so.
   */
  transaction<T>(kind: 'read' | 'write', step: () => T): T {
    this.checkSettings()
    this.#attempt(() => this.#begin(kind))
    let answer: T
    try {
      answer = step()
    } catch (error) {
      this.#rollback()
      throw failureOf(error)
    }
    try {
      this.statement('COMMIT').run()
    } catch (error) {
      this.#rollback()
      throw kind === 'write' ? commitFailed(error) : failureOf(error)
    }
    return answer
  }

  /**
   * Checks once whether the connection is set up so that the store's promises hold. Nothing is changed: it is the
   * caller's.
   *
   * @returns Whether the database has no file.
   * @throws StoreError `ERR_STORE_CONFIGURATION` that names the line to run.
   */
  checkSettings(): boolean {
    if (this.#inMemory !== null) return this.#inMemory
    return this.#attempt(() => {
      const read = (pragma: string) => {
        const row = this.#database.prepare(`PRAGMA ${pragma}`).get()
        return Object.values(row as object)[0] as number | bigint | string
      }
      const synchronous = Number(read('synchronous'))
      if (synchronous < SYNCHRONOUS_FULL) {
        throw misconfigured(
          `synchronous is ${synchronous}, so an acknowledged write may be lost`,
          'PRAGMA synchronous = FULL',
        )
      }
      const timeoutMs = Number(read('busy_timeout'))
      if (timeoutMs !== 0) {
        throw misconfigured(
          `busy_timeout is ${timeoutMs} ms, for which node:sqlite stops the event loop`,
          'PRAGMA busy_timeout = 0',
        )
      }
      const databases = this.statement('PRAGMA database_list').all() as {
        name: string
        file: string | null
      }[]
      const file = databases.find(({ name }) => name === 'main')?.file ?? ''
      if (file !== '') refuseNetworkFile(file)
      this.#inMemory = file === ''
      return this.#inMemory
    })
  }

  #begin(kind: 'read' | 'write'): void {
    const sql = kind === 'read' ? 'BEGIN' : 'BEGIN IMMEDIATE'
    try {
      this.statement(sql).run()
    } catch (error) {
      if (!isStale(error)) throw error
      // The caller closed the connection; if it was opened again, its statements and settings are new ones.
      this.#statements.clear()
      this.#inMemory = null
      this.checkSettings()
      this.statement(sql).run()
    }
  }

  #rollback(): void {
    try {
      this.statement('ROLLBACK').run()
    } catch {
      // SQLite has rolled back by itself after some errors, and then refuses to do it again.
    }
  }

  #attempt<T>(step: () => T): T {
    try {
      return step()
    } catch (error) {
      throw failureOf(error)
    }
  }
}

function misconfigured(fault: string, pragma: string): StoreError {
  return new StoreError(
    'ERR_STORE_CONFIGURATION',
    `${fault}; run: database.exec('${pragma}'), or open the database by openSqliteDatabase(path)`,
  )
}

/**
 * Refuses a file on a network file system, as far as the type of the file system tells.
 *
 * @param typeOf - Answers the `statfs` type of the file system that a path is on.
 * @throws StoreError `ERR_STORE_CONFIGURATION`.
 */
export function refuseNetworkFile(file: string, typeOf = (path: string) => statfsSync(path).type): void {
  let type: number
  try {
    type = typeOf(file)
  } catch {
    // A virtual file system of SQLite's may keep the database where statfs cannot see it.
    return
  }
  const kind = NETWORK_FILE_SYSTEMS.get(type >>> 0)
  if (kind === undefined) return
  throw new StoreError(
    'ERR_STORE_CONFIGURATION',
    `the database file is on ${kind}, where SQLite cannot keep processes apart; move it to a local disk`,
  )
}

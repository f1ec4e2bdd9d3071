import { StoreError } from '@talos/envelope'

const SQLITE_ERROR = 1
const SQLITE_BUSY = 5
const SQLITE_LOCKED = 6
const SQLITE_READONLY = 8
const SQLITE_CORRUPT = 11
const SQLITE_FULL = 13
const SQLITE_NOTADB = 26

/** Somebody else is in the way and will leave: the step has changed nothing and is worth trying again. */
export class Busy extends Error {}

/** The primary result code of an error of `node:sqlite`; `null` for any other error. */
function resultCode(error: unknown): number | null {
  const code = (error as { errcode?: unknown } | null)?.errcode
  return typeof code === 'number' ? code & 0xff : null
}

/** Tells whether a statement failed because its connection was closed, or closed and opened again. */
export function isStale(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'ERR_INVALID_STATE'
}

/**
 * Turns an error of `node:sqlite` into what a caller can act on, for a step that changed nothing.
 *
 * @returns `Busy`, a `StoreError`, or the error itself where it is not SQLite's. No message carries parameters or rows.
 */
export function failureOf(error: unknown): unknown {
  const cause = { cause: error }
  if (isStale(error)) {
    return new StoreError(
      'ERR_STORE_CONFIGURATION',
      'the database connection is closed; open it again, or make a store of an open one',
      cause,
    )
  }
  const message = (error as Error).message
  switch (resultCode(error)) {
    case null:
      return error
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return new Busy('another connection is writing to the database', cause)
    case SQLITE_ERROR:
      if (message.includes('within a transaction')) {
        return new Busy(
          'the connection is inside a transaction of its owner; give the store a connection of its own',
          cause,
        )
      }
      if (/no such (table|column)/.test(message)) return notMigrated(cause)
      break
    case SQLITE_READONLY:
      return new StoreError(
        'ERR_STORE_CONFIGURATION',
        'the database cannot be written to; nothing was written',
        cause,
      )
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return new StoreError(
        'ERR_STORE_DAMAGED',
        'the database file is damaged; stop its writers, run PRAGMA integrity_check, restore it from a backup',
        cause,
      )
    case SQLITE_FULL:
      return new StoreError('ERR_STORE_UNAVAILABLE', 'the disk is full; nothing was written', {
        retryable: true,
        ...cause,
      })
  }
  return new StoreError('ERR_STORE_UNAVAILABLE', `SQLite answered ${message}; nothing was written`, {
    retryable: true,
    ...cause,
  })
}

/** The error of a store whose tables are not there, with the line that makes them. */
export function notMigrated(details: { readonly cause?: unknown } = {}): StoreError {
  return new StoreError(
    'ERR_STORE_NOT_MIGRATED',
    "the store's tables are missing or older than this version; run: await store.migrate()",
    details,
  )
}

/** The error of a commit that failed: the log may hold it or not. */
export function commitFailed(cause: unknown): StoreError {
  return new StoreError(
    'ERR_STORE_OUTCOME_UNKNOWN',
    'the commit failed while it was written to disk; repeat the call or read again',
    { retryable: true, cause },
  )
}

import { isEnvelopeError, StoreError } from '@talos/envelope'

/** The call's time is over, or its signal was aborted. */
export class GaveUp extends Error {
  constructor(reason: unknown) {
    super('the call gave up', { cause: reason })
  }
}

const DUPLICATE = 1062
const AGAIN: ReadonlySet<number> = new Set([
  1213, // Deadlock. The transaction was rolled back.
  1205, // Lock wait timeout. The transaction is still open.
  1020, // Record has changed since the snapshot.
  DUPLICATE, // Of two creators this one came second.
  1969, // max_statement_time exceeded: ours, see `Session`.
])
const NO_TABLES: ReadonlySet<number> = new Set([
  1146, // No such table.
  1054, // Unknown column.
])
const NOT_SET_UP: ReadonlySet<number> = new Set([
  1044, // Access to the database denied.
  1045, // Access denied.
  1046, // No database selected.
  1049, // Unknown database.
  1142, // Command denied.
  1143, // Column access denied.
  1153, // Packet bigger than max_allowed_packet.
  1290, // The server is read-only.
  1792, // The transaction is read-only.
])
/** What the server says to `ROLLBACK TO` when there is no transaction, or none any more. */
export const NO_SAVEPOINT = 1305

/** The number of an error that the server answered, `undefined` for all others: then the connection is of no use. */
export function serverErrno(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('sqlState' in error) || !('errno' in error)) return undefined
  return typeof error.errno === 'number' && error.errno > 0 ? error.errno : undefined
}

/** Whether an error means: nothing was written, and the same transaction may pass when it is repeated. */
export function isConflict(error: unknown): boolean {
  return AGAIN.has(serverErrno(error) ?? 0)
}

/** Whether of two creators of one record this one came second. */
export function isDuplicate(error: unknown): boolean {
  return serverErrno(error) === DUPLICATE
}

/**
 * Says what went wrong in the words of the contract.
 *
 * @param unsure - Whether a COMMIT has been sent.
 */
export function asStoreError(error: unknown, unsure: boolean): Error {
  if (error instanceof TypeError) return error
  const cause = described(error)
  if (unsure) {
    const message = 'MariaDB did not confirm the write; repeat the call or read again'
    return new StoreError('ERR_STORE_OUTCOME_UNKNOWN', message, { retryable: true, cause })
  }
  if (isEnvelopeError(error)) return error
  const errno = serverErrno(error) ?? 0
  if (NO_TABLES.has(errno)) {
    const message = 'the tables of the store are missing or of another version; run migrate()'
    return new StoreError('ERR_STORE_NOT_MIGRATED', message, { cause })
  }
  if (NOT_SET_UP.has(errno)) {
    const message = `MariaDB refused with error ${errno}; check database, grants, max_allowed_packet and read_only`
    return new StoreError('ERR_STORE_CONFIGURATION', message, { cause })
  }
  const message =
    error instanceof GaveUp
      ? 'the call to MariaDB was given up; nothing was written, try again'
      : 'MariaDB could not be reached or refused; nothing was written, try again'
  return new StoreError('ERR_STORE_UNAVAILABLE', message, { retryable: true, cause })
}

/** An error of the driver without its `sql` and `sqlMessage`, which carry names, metadata and sealed bytes. */
function described(error: unknown): unknown {
  if (error instanceof GaveUp) return error.cause
  if (isEnvelopeError(error) || !(error instanceof Error)) return error
  const errno = serverErrno(error)
  if (errno !== undefined) return new Error(`MariaDB answered error ${errno}`)
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name
  return new Error(`the connection to MariaDB failed: ${code}`)
}

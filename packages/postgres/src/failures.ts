import { StoreError } from '@talos/envelope'

/** SQLSTATEs that the store's own functions raise. */
export const RAISED = {
  /** The server is a replica. */
  replica: 'TLS01',
  /** A plain SQL write without a guard, or with an older one; see `guardTriggerSql`. */
  unguarded: 'TLS02',
} as const

/** How a failed statement is to be taken. */
export type Failure =
  /** Nothing was written and somebody else was in the way: worth another attempt. */
  | { readonly kind: 'retry'; readonly why: string; readonly mayBeWritten: boolean; readonly cause: Error }
  /** The statement was cancelled, by us or by an administrator. Nothing was written. */
  | { readonly kind: 'cancelled'; readonly cause: Error }
  /** The connection broke while the statement ran. */
  | { readonly kind: 'lost'; readonly cause: Error }
  | { readonly kind: 'final'; readonly error: unknown }

/** What `pg` makes of an error that the server reports. */
interface ServerError {
  readonly code: string
  readonly severity?: string
  readonly message: string
  readonly schema?: string
  readonly table?: string
  readonly constraint?: string
}

/** SQLSTATEs of refusals whose message names roles, databases and tables, and never data. */
const PLAIN_MESSAGE = /^(28|3D|42501|53|55000|25006|57P|0A000|TLS)/

function isServerError(error: unknown): error is ServerError & Error {
  const { code, severity } = (error ?? {}) as { code?: unknown; severity?: unknown }
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && typeof severity === 'string'
}

/** The server's error without its texts, which may quote names and values. */
function withoutData(error: ServerError): Error {
  const said = PLAIN_MESSAGE.test(error.code) ? `: ${error.message}` : ''
  const cause = new Error(`PostgreSQL answered SQLSTATE ${error.code}${said}`)
  const { code, severity, schema, table, constraint } = error
  return Object.assign(cause, { code, severity, schema, table, constraint })
}

/** Sorts out the error of a statement that `pg` ran. */
export function failureOf(error: unknown): Failure {
  if (!isServerError(error)) {
    const cause = error instanceof Error ? error : new Error('the driver threw something that is no error')
    return cause instanceof TypeError ? { kind: 'final', error } : { kind: 'lost', cause }
  }
  const cause = withoutData(error)
  const retry = (why: string, mayBeWritten = false): Failure => ({ kind: 'retry', why, mayBeWritten, cause })
  switch (error.code) {
    case '40001':
      return retry('other transactions changed the same records first')
    case '40P01':
      return retry('the server ended a deadlock with another transaction')
    case '55P03':
      return retry('another transaction holds a lock for longer than lock_timeout')
    case '25P02':
      return retry('the transaction has failed already')
    case '0A000':
      // A prepared statement outlives a migration by one failure.
      if (error.message.includes('cached plan')) return retry('the tables were changed meanwhile')
      break
    case '57014':
      return { kind: 'cancelled', cause }
    case '57P01':
    case '57P02':
    case '57P05':
      // A connection may be ended between the commit and the server's last word on it.
      return retry('the server ended the connection', true)
    case '57P03':
      return retry('the server is starting up or shutting down')
  }
  return { kind: 'final', error: finalError(error, cause) }
}

/** The error of a connection that could not be made: nothing was sent over it. */
export function connectFailure(error: unknown): Failure {
  const failure = failureOf(error)
  if (failure.kind !== 'lost') return failure
  const { cause } = failure
  const { code } = cause as { code?: unknown }
  if (cause.message.includes('after calling end')) {
    return final('ERR_STORE_CONFIGURATION', 'the pool was ended; make a store of an open one', cause)
  }
  const said = cause.message || String(code ?? 'no reason')
  return final('ERR_STORE_UNAVAILABLE', `no connection: ${said}; nothing was written`, cause)
}

/** The error of a store whose tables are not there, with the line that makes them. */
export function notMigrated(cause?: unknown): StoreError {
  return new StoreError(
    'ERR_STORE_NOT_MIGRATED',
    "the store's tables are missing or older than this version; run: await store.migrate()",
    { cause },
  )
}

/** The error of a server that follows another one. */
export function isReplica(cause?: unknown): StoreError {
  return new StoreError(
    'ERR_STORE_CONFIGURATION',
    'the server is a replica, which may be behind and cannot be written to; connect the pool to the primary',
    // The address of a primary may lead to a replica for a while after a failover.
    { retryable: true, cause },
  )
}

function final(
  code: 'ERR_STORE_CONFIGURATION' | 'ERR_STORE_UNAVAILABLE',
  message: string,
  cause: unknown,
): Failure {
  const retryable = code === 'ERR_STORE_UNAVAILABLE'
  return { kind: 'final', error: new StoreError(code, message, { retryable, cause }) }
}

function finalError(error: ServerError, cause: Error): unknown {
  const configuration = (message: string) => new StoreError('ERR_STORE_CONFIGURATION', message, { cause })
  const { code, message } = error
  switch (code) {
    case RAISED.replica:
      return isReplica(cause)
    case RAISED.unguarded:
      return configuration(`${message}; nothing was written`)
    case '42P01':
    case '42883':
    case '42703':
    case '3F000':
      return notMigrated(cause)
    case '42501':
      return configuration(
        `the role lacks a privilege (${message}); run what grantSql({ role }) prints, as the owner of the tables`,
      )
    case '25006':
      return configuration(
        'the session is read-only; nothing was written. Set default_transaction_read_only = off for its role, or connect to the primary',
      )
    case '26000':
    case '42P05':
      return configuration(
        'a pooler shares connections, which prepared statements do not survive; leave preparedStatements off',
      )
    case '3D000':
      return configuration(`${message}; create it or correct the pool's database`)
    case 'XX001':
    case 'XX002':
      return new StoreError(
        'ERR_STORE_DAMAGED',
        `PostgreSQL found damaged data (SQLSTATE ${code}); stop writers, run pg_amcheck, restore from a backup`,
        { cause },
      )
    case '23514':
      if (error.constraint?.endsWith('secrets_kek_id_check')) {
        return new TypeError('a wrap text has no KEK id: it must begin talos:v2:<id>:')
      }
  }
  if (code.startsWith('28'))
    return configuration(`the server refused the role of the pool (${message}); correct its user or password`)
  if (code.startsWith('42') || code.startsWith('22')) {
    // No time and no repetition makes a statement or a value valid that the server has rejected as one.
    return new StoreError(
      'ERR_STORE_CONTRACT',
      `PostgreSQL rejected a statement of the store or a value in it (SQLSTATE ${code}); nothing was written. Look for triggers and rules on its tables and functions of their names, or report it`,
      { cause },
    )
  }
  const said = PLAIN_MESSAGE.test(code) ? `: ${message}` : ''
  return new StoreError(
    'ERR_STORE_UNAVAILABLE',
    `PostgreSQL answered SQLSTATE ${code}${said}; nothing was written`,
    { retryable: true, cause },
  )
}

import { StoreError } from '@talos/envelope'
import type { PostgresClient } from './client.ts'
import type { Deadline } from './deadline.ts'
import { failureOf, isReplica, notMigrated } from './failures.ts'
import type { Names } from './names.ts'
import { migrationLock, SCHEMA_VERSION, schemaSteps } from './schema.ts'
import { type PoolSession, type Session, TYPES } from './session.ts'

const OLDEST_SERVER = 150_000

/**
 * What has to hold before the first statement of a store. Names that are looked up as texts are no error when they are
 * missing, which would end the application's transaction.
 */
const conditions = (names: Names) => `SELECT pg_is_in_recovery() AS replica,
  current_setting('server_version_num') AS server, current_setting('server_encoding') AS encoding,
  to_regclass(${names.literal('store')}) IS NOT NULL AS made,
  (SELECT count(*) FROM pg_catalog.pg_attribute
    WHERE attrelid = to_regclass(${names.literal('store')}) AND attname IN ('schema_version', 'incarnation')) AS columns`

const schemaVersion = (names: Names) => `SELECT schema_version FROM ${names.of('store')}`

/**
 * Checks that the server can hold a store and that its tables are those of this version.
 *
 * @throws StoreError that says what to run.
 */
export async function checkMigrated(session: Session, names: Names, deadline: Deadline): Promise<void> {
  const run = async (text: string) => (await session.run({ text, writes: false }, [], deadline))[0] ?? {}
  const server = await run(conditions(names))
  if (!checkServer(server, names)) throw notMigrated()
  const version = Number((await run(schemaVersion(names)))['schema_version'] ?? 0)
  refuseNewer(version)
  if (version < SCHEMA_VERSION) throw notMigrated()
}

/**
 * Brings the tables to this version's schema in one transaction. Of several processes that start at once one does the work
 * and the others find it done.
 *
 * @throws StoreError. Nothing was changed unless its code says so.
 */
export async function migrate(session: PoolSession, names: Names, deadline: Deadline): Promise<void> {
  await inTransaction(session, deadline, async (client) => {
    const run = (text: string) => client.query({ text, types: TYPES })
    const ask = async (text: string) => ((await run(text)).rows[0] ?? {}) as Readonly<Record<string, unknown>>
    const milliseconds = Math.max(1, Math.ceil(deadline.leftMs))
    await run(`SET LOCAL statement_timeout = ${milliseconds}`)
    // Before the lock, which a replica cannot take.
    checkServer(await ask(conditions(names)), names)
    await run(migrationLock(names))
    const made = checkServer(await ask(conditions(names)), names)
    const version = made ? Number((await ask(schemaVersion(names)))['schema_version'] ?? 0) : 0
    refuseNewer(version)
    if (version < SCHEMA_VERSION) await run(schemaSteps(names, version))
  })
}

/** @returns Whether the table that carries the version is there. */
function checkServer(found: Readonly<Record<string, unknown>>, names: Names): boolean {
  if (found['replica'] === 't') throw isReplica()
  const misconfigured = (message: string) => new StoreError('ERR_STORE_CONFIGURATION', message)
  if (Number(found['server']) < OLDEST_SERVER)
    throw misconfigured('the server is older than PostgreSQL 15; update it')
  if (found['encoding'] !== 'UTF8') {
    throw misconfigured(
      `the database has the encoding ${found['encoding']}, in which not every name can be kept; make one with ENCODING 'UTF8'`,
    )
  }
  if (found['made'] !== 't') return false
  if (Number(found['columns']) < 2) throw taken(`${names.of('store')} already exists`)
  return true
}

function refuseNewer(version: number): void {
  if (version <= SCHEMA_VERSION) return
  throw new StoreError(
    'ERR_STORE_NOT_MIGRATED',
    `the tables have schema ${version} and this version of @talos/envelope-postgres knows ${SCHEMA_VERSION}; update the package`,
  )
}

function taken(said: string, cause?: unknown): StoreError {
  return new StoreError(
    'ERR_STORE_CONFIGURATION',
    `${said} and does not belong to this store; nothing was changed. Give another schema or tablePrefix`,
    { cause },
  )
}

async function inTransaction(
  session: PoolSession,
  deadline: Deadline,
  steps: (client: PostgresClient) => Promise<void>,
): Promise<void> {
  const lent = await session.borrow(deadline)
  if ('failure' in lent)
    throw lent.failure.kind === 'final' ? lent.failure.error : unavailable(lent.failure.cause)
  let committing = false
  let broken = true
  try {
    await lent.client.query({ text: 'BEGIN ISOLATION LEVEL READ COMMITTED' })
    await steps(lent.client)
    committing = true
    await lent.client.query({ text: 'COMMIT' })
    broken = false
  } catch (error) {
    if (!committing) {
      broken = await lent.client.query({ text: 'ROLLBACK' }).then(
        () => false,
        () => true,
      )
    }
    if (error instanceof StoreError) throw error
    throw migrationFailure(error, committing)
  } finally {
    lent.giveBack(broken)
  }
}

function migrationFailure(error: unknown, committing: boolean): unknown {
  const failure = failureOf(error)
  if (failure.kind === 'final') {
    const { code, message } = error as { code?: string; message: string }
    // Names of tables, types and functions that are taken; the message names which.
    if (code === '42P07' || code === '42710' || code === '42723') return taken(message, failure.error)
    if (code === '42501') {
      return new StoreError(
        'ERR_STORE_CONFIGURATION',
        `the role may not make the tables (${message}); nothing was changed. Run migrate() as a role that may CREATE in the schema, or run what migrationSql() prints`,
        { cause: failure.error },
      )
    }
    return failure.error
  }
  if (!committing) return unavailable(failure.cause)
  return new StoreError(
    'ERR_STORE_OUTCOME_UNKNOWN',
    'the commit of the migration was not answered; run it again',
    {
      retryable: true,
      cause: failure.cause,
    },
  )
}

function unavailable(cause: Error): StoreError {
  return new StoreError(
    'ERR_STORE_UNAVAILABLE',
    `the migration ended early: ${cause.message}; nothing was changed`,
    {
      retryable: true,
      cause,
    },
  )
}

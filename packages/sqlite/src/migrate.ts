import { StoreError } from '@talos/envelope'
import type { Connection } from './connection.ts'
import { failureOf, notMigrated } from './failures.ts'
import { SCHEMA_VERSION, schemaSteps } from './schema.ts'

/**
 * Brings the tables to this version's schema in one transaction and turns on write-ahead logging, which stays with the
 * file. Of several processes that start at once one does the work and the others find it done.
 *
 * @throws Busy when another connection is in the way. StoreError `ERR_STORE_NOT_MIGRATED` for a newer schema.
 */
export function migrate(connection: Connection, prefix: string): void {
  const inMemory = connection.checkSettings()
  if (!inMemory) turnOnWriteAheadLog(connection)
  connection.transaction('write', () => {
    const version = schemaVersion(connection, prefix)
    refuseNewer(version)
    if (version < SCHEMA_VERSION) connection.script(schemaSteps(prefix, version))
  })
}

/**
 * Checks that the tables are those of this version and that commits go to the write-ahead log. To be run in a
 * transaction.
 *
 * @throws StoreError `ERR_STORE_NOT_MIGRATED` that names the line to run.
 */
export function checkMigrated(connection: Connection, prefix: string): void {
  const version = schemaVersion(connection, prefix)
  refuseNewer(version)
  if (version < SCHEMA_VERSION) throw notMigrated()
  if (!connection.checkSettings() && journalMode(connection) !== 'wal') {
    throw new StoreError(
      'ERR_STORE_NOT_MIGRATED',
      'the database does not use write-ahead logging any more; run: await store.migrate()',
    )
  }
}

function schemaVersion(connection: Connection, prefix: string): number {
  const known = connection
    .statement("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE")
    .get(`${prefix}store`)
  if (known === undefined) return 0
  const row = connection.statement(`SELECT schema_version FROM ${prefix}store`).get()
  return (row as { schema_version: number } | undefined)?.schema_version ?? 0
}

function refuseNewer(version: number): void {
  if (version <= SCHEMA_VERSION) return
  throw new StoreError(
    'ERR_STORE_NOT_MIGRATED',
    `the tables have schema ${version} and this version of @talos/envelope-sqlite knows ${SCHEMA_VERSION}; update the package`,
  )
}

function turnOnWriteAheadLog(connection: Connection): void {
  if (journalMode(connection) === 'wal') return
  try {
    connection.script('PRAGMA journal_mode = WAL')
  } catch (error) {
    throw failureOf(error)
  }
  const mode = journalMode(connection)
  if (mode === 'wal') return
  throw new StoreError(
    'ERR_STORE_CONFIGURATION',
    `the database stays in journal mode ${mode}; write-ahead logging needs a local disk and a connection that may write`,
  )
}

function journalMode(connection: Connection): string {
  try {
    return (connection.statement('PRAGMA journal_mode').get() as { journal_mode: string }).journal_mode
  } catch (error) {
    throw failureOf(error)
  }
}

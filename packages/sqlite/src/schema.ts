/** The schema this version of the package reads and writes. */
export const SCHEMA_VERSION = 1

export const DEFAULT_TABLE_PREFIX = 'talos_'

/** Where the KEK id stands in a wrap text: from the tenth character to the next colon. */
export const kekIdOf = (wrap: string) => `substr(${wrap}, 10, instr(substr(${wrap}, 10), ':') - 1)`

const RANDOM_UUID = `lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2)
    || '-' || substr('89ab', 1 + (abs(random()) % 4), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))`

/** The statement that says: this may not be the same, uninterrupted data any more. */
export const newIncarnation = (prefix: string) => `UPDATE ${prefix}store SET incarnation = ${RANDOM_UUID}`

/**
 * Step n brings a database from schema n to n + 1. A step that was published is never edited.
 *
 * The header of a secret and its sealed bytes are apart, so that a scan, a census and a re-wrap never move a payload.
 * `kek_id` is an ordinary column bound to the wrap text by a check: an index over a generated column of a table without
 * rowid does not cover the census, which then takes six times as long.
 */
const STEPS: readonly ((prefix: string) => string)[] = [
  (prefix) => `CREATE TABLE ${prefix}store (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  schema_version INTEGER NOT NULL,
  incarnation TEXT NOT NULL
) STRICT;
INSERT INTO ${prefix}store (id, schema_version, incarnation) VALUES (1, 0,
  ${RANDOM_UUID});
CREATE TABLE ${prefix}secrets (
  name TEXT NOT NULL COLLATE BINARY PRIMARY KEY,
  wrap TEXT NOT NULL,
  meta TEXT NOT NULL,
  kek_id TEXT NOT NULL COLLATE BINARY CHECK (kek_id = ${kekIdOf('wrap')}),
  sealed_id INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX ${prefix}secrets_by_kek ON ${prefix}secrets (kek_id, name);
CREATE TABLE ${prefix}sealed (
  id INTEGER PRIMARY KEY,
  sealed BLOB NOT NULL
) STRICT;
CREATE TABLE ${prefix}documents (
  key TEXT NOT NULL COLLATE BINARY PRIMARY KEY,
  value TEXT NOT NULL,
  revision INTEGER NOT NULL,
  written_at INTEGER NOT NULL
) STRICT;`,
]

/**
 * The statements that bring a schema up to date, to be run in one transaction.
 *
 * @param from - The version the database has; 0 for none.
 */
export function schemaSteps(prefix: string, from: number): string {
  const steps = STEPS.slice(from).map((step) => step(prefix))
  return [...steps, `UPDATE ${prefix}store SET schema_version = ${SCHEMA_VERSION};`].join('\n')
}

/**
 * Prints what `migrate()` runs, for those who review or run migrations by other means.
 *
 * @param options.tablePrefix - As given to `sqliteStore`. `talos_` when absent.
 * @param options.fromVersion - The schema version the database has. 0, no tables, when absent.
 * @returns SQL for `sqlite3`; without statements to run when the version is up to date.
 * @throws TypeError for a prefix that is no identifier, or a version this package does not know.
 */
export function migrationSql(
  options: { readonly tablePrefix?: string; readonly fromVersion?: number } = {},
): string {
  const prefix = checkTablePrefix(options.tablePrefix ?? DEFAULT_TABLE_PREFIX)
  const from = options.fromVersion ?? 0
  if (!Number.isSafeInteger(from) || from < 0 || from > SCHEMA_VERSION) {
    throw new TypeError(`fromVersion: needs an integer from 0 to ${SCHEMA_VERSION}`)
  }
  if (from === SCHEMA_VERSION) return `-- schema ${SCHEMA_VERSION} is up to date\n`
  return `PRAGMA journal_mode = WAL;\nBEGIN IMMEDIATE;\n${schemaSteps(prefix, from)}\nCOMMIT;\n`
}

/**
 * Checks a table prefix, which becomes part of the SQL.
 *
 * @throws TypeError for anything but 1 to 32 letters, digits and underscores, or for a prefix SQLite keeps for itself.
 */
export function checkTablePrefix(prefix: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,31}$/.test(prefix) || /^sqlite_/i.test(prefix)) {
    throw new TypeError(
      'tablePrefix: needs 1 to 32 letters, digits and underscores, neither a digit nor sqlite_ first',
    )
  }
  return prefix
}

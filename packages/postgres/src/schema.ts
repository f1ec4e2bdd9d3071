import { functions } from './functions.ts'
import { type Names, namesOf, type Place, quoteName, quoteText } from './names.ts'

/** The schema this version of the package reads and writes. */
export const SCHEMA_VERSION = 1

/** Step n brings the tables from schema n to n + 1. A step that was published is never edited. */
const STEPS: readonly ((names: Names) => string)[] = [
  (names) => `CREATE TABLE ${names.of('store')} (
  id smallint PRIMARY KEY CHECK (id = 1),
  schema_version integer NOT NULL,
  incarnation uuid NOT NULL
);
INSERT INTO ${names.of('store')} (id, schema_version, incarnation) VALUES (1, 0, gen_random_uuid());
-- Stays empty: whoever writes secrets or changes the keyring document locks it.
CREATE TABLE ${names.of('fence')} (
  nothing boolean NOT NULL CHECK (false)
);
CREATE TABLE ${names.of('documents')} (
  key text COLLATE "C" PRIMARY KEY,
  value text NOT NULL,
  revision bigint NOT NULL CHECK (revision > 0),
  written_at timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE ${names.of('secrets')} (
  name text COLLATE "C" CONSTRAINT ${names.bare('secrets_pkey')} PRIMARY KEY,
  wrap text COLLATE "C" NOT NULL,
  meta text NOT NULL,
  kek_id text COLLATE "C" GENERATED ALWAYS AS (split_part(wrap, ':', 3)) STORED
    CONSTRAINT ${names.bare('secrets_kek_id_check')} CHECK (kek_id <> ''),
  sealed bytea NOT NULL
);
-- Ciphertext does not shrink; kept out of line as it is, a long one stays where it is when its row is re-wrapped.
ALTER TABLE ${names.of('secrets')} ALTER COLUMN sealed SET STORAGE EXTERNAL, ALTER COLUMN wrap SET STORAGE PLAIN,
  ALTER COLUMN name SET STORAGE PLAIN, ALTER COLUMN kek_id SET STORAGE PLAIN;
CREATE INDEX ${names.bare('secrets_by_kek')} ON ${names.of('secrets')} (kek_id, name);
${functions(names)}`,
]

/** The statement that says: this may not be the same, uninterrupted data any more. */
export const renewIncarnation = (names: Names) =>
  `UPDATE ${names.of('store')} SET incarnation = gen_random_uuid() RETURNING incarnation::text`

/** Makes those who migrate stores of one schema at once wait for each other, until the transaction ends. */
export const migrationLock = (names: Names) =>
  `SELECT pg_advisory_xact_lock(hashtextextended(${quoteText(`@talos/envelope-postgres ${names.schema}`)}, 0));`

/** The statements that bring the tables up to date, to be run in one transaction that holds the lock. */
export function schemaSteps(names: Names, from: number): string {
  const schema = `DO $talos$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = ${quoteText(names.schema)}) THEN
    CREATE SCHEMA ${quoteName(names.schema)};
  END IF;
END $talos$;`
  const steps = STEPS.slice(from).map((step) => step(names))
  return [schema, ...steps, `UPDATE ${names.of('store')} SET schema_version = ${SCHEMA_VERSION};`].join('\n')
}

/**
 * Prints what `migrate()` runs, for those who review or run migrations by other means.
 *
 * @param options.fromVersion - The schema version the database has. 0, no tables, when absent.
 * @returns SQL for `psql`, with nothing to run when the version is up to date.
 * @throws TypeError for names that PostgreSQL cannot take, or a version this package does not know.
 */
export function migrationSql(options: Place & { readonly fromVersion?: number } = {}): string {
  const names = namesOf(options)
  const from = options.fromVersion ?? 0
  if (!Number.isSafeInteger(from) || from < 0 || from > SCHEMA_VERSION) {
    throw new TypeError(`fromVersion: needs an integer from 0 to ${SCHEMA_VERSION}`)
  }
  if (from === SCHEMA_VERSION) return `-- schema ${SCHEMA_VERSION} is up to date\n`
  return `BEGIN;\n${migrationLock(names)}\n${schemaSteps(names, from)}\nCOMMIT;\n`
}

/**
 * Prints the fewest privileges that a role needs to use the store, to be run by the owner of the tables.
 *
 * @param options.role - The role that the pool connects as.
 * @throws TypeError for names that PostgreSQL cannot take.
 */
export function grantSql(options: Place & { readonly role: string }): string {
  const names = namesOf(options)
  const role = quoteName(options.role)
  const routines = [
    'guard(bigint)',
    'guard_plain_sql()',
    'apply_changes(bigint, text, text[], text[], text[], text[], bytea[])',
    'write_document(text, bigint, text)',
    'write_keyring(integer, bigint, text)',
  ].map((signature) => {
    const [name = '', rest = ''] = signature.split(/(?=\()/)
    return names.of(name) + rest
  })
  return `GRANT USAGE ON SCHEMA ${quoteName(names.schema)} TO ${role};
GRANT SELECT ON ${names.of('store')} TO ${role};
GRANT UPDATE ON ${names.of('fence')} TO ${role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ${names.of('documents')}, ${names.of('secrets')} TO ${role};
GRANT EXECUTE ON FUNCTION ${routines.join(',\n  ')} TO ${role};
`
}

/**
 * Prints the optional trigger that guards plain SQL: an `INSERT`, `UPDATE` or `COPY` into the table of the secrets that does not
 * come from this package is then refused unless its transaction has called the function `guard` with the present revision of
 * the keyring document. Without it, plain SQL can put a record under a KEK that was already fenced.
 *
 * @throws TypeError for names that PostgreSQL cannot take.
 */
export function guardTriggerSql(options: Place = {}): string {
  const names = namesOf(options)
  return `CREATE OR REPLACE TRIGGER ${names.bare('guard_plain_sql')} BEFORE INSERT OR UPDATE ON ${names.of('secrets')}
  FOR EACH STATEMENT EXECUTE FUNCTION ${names.of('guard_plain_sql')}();
`
}

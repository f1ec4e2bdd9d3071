import { Sql, sql } from './sql.ts'

/** The version that `migrate()` leaves behind. */
export const SCHEMA_VERSION = 1

/** The tables of one store, as they are written in SQL. */
export interface Tables {
  readonly store: Sql
  readonly secrets: Sql
  readonly documents: Sql
}

/**
 * Names the tables of a store.
 *
 * @throws TypeError for a prefix that is not 1 to 30 of `a-z`, `0-9` and `_`, beginning with a letter.
 */
export function tablesOf(prefix: string): Tables {
  if (!/^[a-z][a-z0-9_]{0,29}$/.test(prefix)) {
    throw new TypeError('tablePrefix must be 1 to 30 of a-z, 0-9 and _, beginning with a letter')
  }
  const table = (name: string) => new Sql(`\`${prefix}${name}\``)
  return { store: table('store'), secrets: table('secrets'), documents: table('documents') }
}

/**
 * The statements of the migration, each of which may be repeated.
 *
 * All texts are bytes. So no collation folds, trims or compares them in another way than by byte, and the character set
 * of the caller's connections does not matter. `MEDIUMBLOB`, because `BLOB` ends one byte before a document may.
 *
 * @param id - The random id of this store's data, for a store that has none yet.
 */
export function schemaStatements(tables: Tables, id: string): readonly Sql[] {
  return [
    sql`CREATE TABLE IF NOT EXISTS ${tables.store} (
      id      TINYINT UNSIGNED NOT NULL PRIMARY KEY,
      version INT UNSIGNED NOT NULL,
      random  VARBINARY(64) NOT NULL
    ) ENGINE = InnoDB`,
    sql`CREATE TABLE IF NOT EXISTS ${tables.secrets} (
      name   VARBINARY(512) NOT NULL PRIMARY KEY,
      wrap   VARBINARY(1464) NOT NULL,
      meta   VARBINARY(16384) NOT NULL,
      sealed MEDIUMBLOB NOT NULL,
      kek_id VARBINARY(1464) AS (SUBSTRING_INDEX(SUBSTRING_INDEX(wrap, ':', 3), ':', -1)) STORED,
      KEY by_kek (kek_id)
    ) ENGINE = InnoDB`,
    sql`CREATE TABLE IF NOT EXISTS ${tables.documents} (
      name     VARBINARY(200) NOT NULL PRIMARY KEY,
      value    MEDIUMBLOB NOT NULL,
      revision BIGINT UNSIGNED NOT NULL,
      written  DATETIME(6) NOT NULL
    ) ENGINE = InnoDB`,
    // Last: whoever sees the row sees the tables.
    sql`INSERT INTO ${tables.store} (id, version, random) VALUES (1, ${SCHEMA_VERSION}, ${id})
      ON DUPLICATE KEY UPDATE id = id`,
  ]
}

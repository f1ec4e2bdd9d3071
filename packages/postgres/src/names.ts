export const DEFAULT_SCHEMA = 'public'
export const DEFAULT_TABLE_PREFIX = 'talos_'

/** Where the store's objects are. */
export interface Place {
  /** The schema of the tables and functions. @defaultValue `public` */
  readonly schema?: string
  /** What the names of the tables and functions begin with; each prefix is a store of its own. @defaultValue `talos_` */
  readonly tablePrefix?: string
}

/** The store's objects by name, quoted and with their schema, ready to stand in SQL. */
export interface Names {
  readonly schema: string
  readonly prefix: string
  /** The name of a table or function. */
  of(object: string): string
  /** The name of an index or constraint, which lives in the schema of its table. */
  bare(object: string): string
  /** The same as a text for `to_regclass`, quoted as a literal. */
  literal(object: string): string
  /** The setting that carries the guard through a transaction, quoted as a literal. */
  readonly guardSetting: string
}

/**
 * Checks where the store's objects are, both of which become part of the SQL.
 *
 * @throws TypeError for a schema that cannot be a PostgreSQL name, or a prefix other than 1 to 32 letters, digits and
 * underscores.
 */
export function namesOf(place: Place): Names {
  const schema = place.schema ?? DEFAULT_SCHEMA
  const prefix = place.tablePrefix ?? DEFAULT_TABLE_PREFIX
  const bytes = Buffer.byteLength(schema)
  // The bodies of functions are quoted by $talos$, which a name inside could end.
  if (bytes < 1 || bytes > 63 || /\p{Cc}|\$talos\$/u.test(schema) || !schema.isWellFormed()) {
    throw new TypeError('schema: needs a name of 1 to 63 bytes without control characters')
  }
  if (/^pg_/i.test(schema))
    throw new TypeError('schema: PostgreSQL keeps names that begin with pg_ for itself')
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,31}$/.test(prefix)) {
    throw new TypeError('tablePrefix: needs 1 to 32 letters, digits and underscores, no digit first')
  }
  const of = (object: string) => `${quoteName(schema)}.${quoteName(prefix + object)}`
  return {
    schema,
    prefix,
    of,
    bare: (object) => quoteName(prefix + object),
    literal: (object) => quoteText(of(object)),
    guardSetting: quoteText(`${prefix}.guard`),
  }
}

export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** Quotes a text whatever `standard_conforming_strings` is. */
export function quoteText(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted
}

import type { Page, StoredDocument } from '@talos/envelope'
import type { Deadline } from './deadline.ts'
import type { Names } from './names.ts'
import { reading, readingSet, rowsOf } from './secret-table.ts'
import type { Row, Session, Statement } from './session.ts'

const AGE_MS = 'greatest(0, extract(epoch FROM clock_timestamp() - written_at) * 1000)'
const COLUMNS = `key, value, revision, ${AGE_MS} AS age_ms`

/** Reads and writes documents, each call by one statement. */
export class DocumentTable {
  readonly #read: Statement
  readonly #list: Statement
  readonly #write: Statement
  readonly #writeKeyring: Statement

  constructor(names: Names) {
    const documents = names.of('documents')
    this.#read = readingSet(
      { key: 'key', value: 'value', revision: 'revision', age_ms: AGE_MS },
      `${documents} WHERE key = $1::text`,
    )
    // A key is visible ASCII, so all that begin with the prefix lie before it with U+007F behind.
    this.#list = reading(`SELECT ${COLUMNS} FROM ${documents}
  WHERE key >= $1::text AND key < $1::text || chr(127) AND key > $2::text ORDER BY key LIMIT $3::integer`)
    this.#write = {
      text: `SELECT ${names.of('write_document')}($1::text, $2::bigint, $3::text) AS revision`,
      writes: true,
    }
    this.#writeKeyring = {
      text: `SELECT ${names.of('write_keyring')}($1::integer, $2::bigint, $3::text) AS revision`,
      writes: true,
    }
  }

  async read(session: Session, key: string, deadline: Deadline): Promise<StoredDocument | null> {
    const [row] = await rowsOf(session, this.#read, [key], deadline)
    return row === undefined ? null : documentOf(row)
  }

  async list(
    session: Session,
    query: { readonly prefix: string; readonly cursor: string | null; readonly limit: number },
    deadline: Deadline,
  ): Promise<Page<StoredDocument>> {
    const rows = await rowsOf(session, this.#list, [query.prefix, query.cursor ?? '', query.limit], deadline)
    const items = rows.map(documentOf)
    return { items, next: items.length === query.limit ? (items.at(-1)?.key ?? null) : null }
  }

  async write(
    session: Session,
    key: string,
    expectedRevision: number,
    value: string | null,
    deadline: Deadline,
  ): Promise<number | null> {
    return revisionOf(await session.run(this.#write, [key, expectedRevision, value], deadline))
  }

  /** The statement that changes the keyring document behind the fence, with how long it waits for writers. */
  writingKeyring(lockTimeoutMs: number, expectedRevision: number, value: string | null) {
    return { statement: this.#writeKeyring, values: [lockTimeoutMs, expectedRevision, value] }
  }
}

export function revisionOf([row]: readonly Row[]): number | null {
  const revision = row?.['revision'] ?? null
  return revision === null ? null : Number(revision)
}

function documentOf(row: Row): StoredDocument {
  return {
    key: row['key'] ?? '',
    value: row['value'] ?? '',
    revision: Number(row['revision']),
    ageMs: Number(row['age_ms']),
  }
}

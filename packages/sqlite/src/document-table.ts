import type { Page, StoredDocument } from '@talos/envelope'
import type { Connection } from './connection.ts'

interface DocumentRow {
  readonly key: string
  readonly value: string
  readonly revision: number
  readonly written_at: number
}

/** Reads and writes documents. Every method is one step inside a transaction that the caller has begun. */
export class DocumentTable {
  readonly #connection: Connection
  readonly #table: string
  readonly #now: () => number

  constructor(connection: Connection, prefix: string, now: () => number) {
    this.#connection = connection
    this.#table = `${prefix}documents`
    this.#now = now
  }

  /** The revision of a document; `null` for none, which no guard is equal to. */
  revision(key: string): number | null {
    const row = this.#connection.statement(`SELECT revision FROM ${this.#table} WHERE key = ?`).get(key)
    return (row as { revision: number } | undefined)?.revision ?? null
  }

  read(key: string): StoredDocument | null {
    const row = this.#connection
      .statement(`SELECT key, value, revision, written_at FROM ${this.#table} WHERE key = ?`)
      .get(key) as DocumentRow | undefined
    return row === undefined ? null : this.#document(row)
  }

  write(key: string, expectedRevision: number, value: string | null): number | null {
    const there = this.read(key)
    const revision = there?.revision ?? 0
    if (value === null) {
      if (revision !== 0 && revision !== expectedRevision) return null
      this.#connection.statement(`DELETE FROM ${this.#table} WHERE key = ?`).run(key)
      return 0
    }
    if (revision === expectedRevision + 1 && there?.value === value) return revision
    if (revision !== expectedRevision) return null
    this.#connection
      .statement(
        `INSERT INTO ${this.#table} (key, value, revision, written_at) VALUES (?, ?, ?, ?)
  ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision, written_at = excluded.written_at`,
      )
      .run(key, value, revision + 1, Math.floor(this.#now()))
    return revision + 1
  }

  list(prefix: string, after: string, limit: number): Page<StoredDocument> {
    // A key is visible ASCII, so all that begin with the prefix lie before it with U+007F behind.
    const rows = this.#connection
      .statement(
        `SELECT key, value, revision, written_at FROM ${this.#table}
  WHERE key >= ? AND key < ? || char(127) AND key > ? ORDER BY key LIMIT ?`,
      )
      .all(prefix, prefix, after, limit) as DocumentRow[]
    const items = rows.map((row) => this.#document(row))
    return { items, next: rows.length === limit ? (items.at(-1)?.key ?? null) : null }
  }

  #document({ key, value, revision, written_at }: DocumentRow): StoredDocument {
    // A clock that was set back must not make a document younger than new.
    return { key, value, revision, ageMs: Math.max(0, this.#now() - written_at) }
  }
}

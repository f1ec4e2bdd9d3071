import type { Change, NameRange, Outcome, Page, SecretHeader, StoredSecret } from '@talos/envelope'
import type { Connection } from './connection.ts'
import { kekIdOf } from './schema.ts'

/** Beyond this many KEKs a page is filtered here; each of them would be one more arm of a compound select. */
const MOST_MERGED_KEKS = 32

interface HeaderRow {
  readonly name: string
  readonly wrap: string
  readonly meta: string
}

/** Reads and changes secrets. Every method is one step inside a transaction that the caller has begun. */
export class SecretTables {
  readonly #connection: Connection
  readonly #secrets: string
  readonly #sealed: string

  constructor(connection: Connection, prefix: string) {
    this.#connection = connection
    this.#secrets = `${prefix}secrets`
    this.#sealed = `${prefix}sealed`
  }

  read(name: string): StoredSecret | null {
    const row = this.#connection
      .statement(
        `SELECT wrap, meta, sealed FROM ${this.#secrets} JOIN ${this.#sealed} ON id = sealed_id WHERE name = ?`,
      )
      .get(name) as { wrap: string; meta: string; sealed: Uint8Array } | undefined
    return row === undefined ? null : { name, wrap: row.wrap, meta: row.meta, sealed: row.sealed }
  }

  /** One page in the order of the names, which no re-wrap changes: what moves between KEKs cannot slip behind it. */
  scan(range: NameRange, limit: number, exceptKekId: string | undefined): Page<SecretHeader> {
    const kekIds = exceptKekId === undefined ? null : this.kekIds().filter((id) => id !== exceptKekId)
    if (kekIds?.length === 0) return { items: [], next: null }
    const merged = kekIds !== null && kekIds.length <= MOST_MERGED_KEKS
    const rows = merged ? this.#pageUnder(kekIds, range, limit) : this.#page(range, limit)
    const last = rows.at(-1)
    const except = `talos:v2:${exceptKekId}:`
    const kept = merged || kekIds === null ? rows : rows.filter(({ wrap }) => !wrap.startsWith(except))
    return {
      items: kept.map(({ name, wrap, meta }) => ({ name, wrap, meta })),
      next: rows.length === limit && last !== undefined ? last.name : null,
    }
  }

  census(): ReadonlyMap<string, number> {
    const rows = this.#connection
      .statement(`SELECT kek_id, count(*) AS records FROM ${this.#secrets} GROUP BY kek_id`)
      .all() as { kek_id: string; records: number }[]
    return new Map(rows.map(({ kek_id, records }) => [kek_id, records]))
  }

  /**
   * Applies one change.
   *
   * @param open - Whether the keyring document is at the revision that the caller saw, in this transaction.
   */
  apply(change: Change, open: boolean): Outcome {
    if (change.kind === 'delete') return this.#delete(change.name, change.expectedWrap)
    const { name, wrap, meta } = change.secret
    // Almost every re-wrap ends here, in one statement.
    if (change.kind === 'rewrap' && open && wrap !== change.expectedWrap) {
      if (this.#rewrap(name, wrap, meta, change.expectedWrap)) return 'done'
    }
    const there = this.#connection
      .statement(`SELECT wrap, sealed_id FROM ${this.#secrets} WHERE name = ?`)
      .get(name) as { wrap: string; sealed_id: number } | undefined
    // Before the guard: an earlier attempt that took effect before the fence must not look as if it never did.
    if (there?.wrap === wrap) return 'already'
    if (!open) return 'fenced'
    if (change.kind === 'create') {
      if (there !== undefined) return 'changed'
      this.#create(change.secret)
      return 'done'
    }
    if (there === undefined) return 'missing'
    if (there.wrap !== change.expectedWrap || change.kind === 'rewrap') return 'changed'
    this.#rewrap(name, wrap, meta, change.expectedWrap)
    this.#connection
      .statement(`UPDATE ${this.#sealed} SET sealed = ? WHERE id = ?`)
      .run(change.secret.sealed, there.sealed_id)
    return 'done'
  }

  #create({ name, wrap, meta, sealed }: StoredSecret): void {
    const { lastInsertRowid } = this.#connection
      .statement(`INSERT INTO ${this.#sealed} (sealed) VALUES (?)`)
      .run(sealed)
    // Numbered parameters would do for the repeated ones, but Node 22 binds only plain ones by position.
    this.#connection
      .statement(
        `INSERT INTO ${this.#secrets} (name, wrap, meta, sealed_id, kek_id) VALUES (?, ?, ?, ?, ${kekIdOf('?')})`,
      )
      .run(name, wrap, meta, lastInsertRowid, wrap, wrap)
  }

  #rewrap(name: string, wrap: string, meta: string, expectedWrap: string): boolean {
    const { changes } = this.#connection
      .statement(
        `UPDATE ${this.#secrets} SET wrap = ?, meta = ?, kek_id = ${kekIdOf('?')} WHERE name = ? AND wrap = ?`,
      )
      .run(wrap, meta, wrap, wrap, name, expectedWrap)
    return Number(changes) === 1
  }

  #delete(name: string, expectedWrap: string): Outcome {
    const there = this.#connection
      .statement(`SELECT wrap, sealed_id FROM ${this.#secrets} WHERE name = ?`)
      .get(name) as { wrap: string; sealed_id: number } | undefined
    if (there === undefined) return 'missing'
    if (there.wrap !== expectedWrap) return 'changed'
    this.#connection.statement(`DELETE FROM ${this.#secrets} WHERE name = ?`).run(name)
    this.#connection.statement(`DELETE FROM ${this.#sealed} WHERE id = ?`).run(there.sealed_id)
    return 'done'
  }

  /** The KEK ids in use, each found by one step down the index. */
  kekIds(): string[] {
    const rows = this.#connection
      .statement(
        `WITH RECURSIVE ids (id) AS (
  SELECT min(kek_id) FROM ${this.#secrets}
  UNION ALL
  SELECT (SELECT min(kek_id) FROM ${this.#secrets} WHERE kek_id > ids.id) FROM ids WHERE ids.id IS NOT NULL
) SELECT id FROM ids WHERE id IS NOT NULL`,
      )
      .all() as { id: string }[]
    return rows.map(({ id }) => id)
  }

  /** Every `step`-th name under a KEK behind `after`, at most `most` of them, found without reading a record. */
  strides(kekId: string, after: string, step: number, most: number): string[] {
    const next = this.#connection.statement(
      `SELECT name FROM ${this.#secrets} WHERE kek_id = ? AND name > ? ORDER BY name LIMIT 1 OFFSET ${step - 1}`,
    )
    const names: string[] = []
    while (names.length < most) {
      const row = next.get(kekId, names.at(-1) ?? after) as { name: string } | undefined
      if (row === undefined) break
      names.push(row.name)
    }
    return names
  }

  #page(range: NameRange, limit: number): HeaderRow[] {
    const { where, values } = within(range)
    return this.#connection
      .statement(`SELECT name, wrap, meta FROM ${this.#secrets} WHERE ${where} ORDER BY name LIMIT ?`)
      .all(...values, limit) as HeaderRow[]
  }

  /** SQLite merges the KEKs' parts of the index as it goes, so that a page costs what it holds. */
  #pageUnder(kekIds: readonly string[], range: NameRange, limit: number): HeaderRow[] {
    const { where, values } = within(range)
    const arm = `SELECT name, wrap, meta FROM ${this.#secrets} WHERE kek_id = ? AND ${where}`
    const arms = kekIds.map(() => arm)
    return this.#connection
      .statement(`${arms.join(' UNION ALL ')} ORDER BY name LIMIT ?`)
      .all(...kekIds.flatMap((kekId) => [kekId, ...values]), limit) as HeaderRow[]
  }
}

function within({ after, upTo }: NameRange): { readonly where: string; readonly values: readonly string[] } {
  return upTo === null
    ? { where: 'name > ?', values: [after] }
    : { where: 'name > ? AND name <= ?', values: [after, upTo] }
}

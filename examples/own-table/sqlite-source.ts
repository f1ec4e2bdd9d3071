import type { DatabaseSync } from 'node:sqlite'
import type { RotatableSource, SourceEnvelope } from '@talos/envelope'

/** What stands before the sealed part, or null for what is no envelope. */
const WRAP = /^(talos:v2:[a-z0-9][a-z0-9_-]{0,31}:[A-Za-z0-9_-]{3,1424}):./

/**
 * A declared source written by hand, for the table `notes (id INTEGER PRIMARY KEY, body TEXT)` of a SQLite database. The same
 * three functions make one of any other database that can compare and write in one step.
 */
export function notesSource(database: DatabaseSync): RotatableSource {
  const page = database.prepare(
    'SELECT id, substr(body, 1, 1466) AS head FROM notes WHERE id > ? AND body IS NOT NULL ORDER BY id LIMIT ?',
  )
  const count = database.prepare('SELECT count(*) AS envelopes FROM notes WHERE substr(body, 1, ?) = ?')
  const strays = database.prepare(
    "SELECT count(*) AS strays FROM notes WHERE substr(body, 1, 9) <> 'talos:v2:'",
  )
  // Compare and write in one step: the sealed part behind the wrap text stays as it is.
  const exchange = database.prepare(
    'UPDATE notes SET body = :wrap || substr(body, length(:expected) + 1) WHERE id = :id AND substr(body, 1, length(:expected) + 1) = :expected || :colon',
  )
  const look = database.prepare(
    'SELECT body IS NOT NULL AND substr(body, 1, ?) = ? AS already FROM notes WHERE id = ?',
  )

  return {
    name: 'notes',
    async count(kekId) {
      if (Number(strays.get()?.['strays']) > 0) throw new Error('some notes are not encrypted')
      const prefix = `talos:v2:${kekId}:`
      return Number(count.get(prefix.length, prefix)?.['envelopes'])
    },
    async scan({ cursor, limit, exceptKekId }) {
      const rows = page.all(Number(cursor ?? 0), limit)
      const envelopes = rows.map((row): SourceEnvelope => {
        const id = String(row['id'])
        const [, wrap = null] = WRAP.exec(String(row['head'])) ?? []
        return { id, wrap, context: { table: 'notes', note: id } }
      })
      return {
        items: envelopes.filter(({ wrap }) => !wrap?.startsWith(`talos:v2:${exceptKekId}:`)),
        // By the id, which no re-wrap changes. A page may be empty and not be the last.
        next: rows.length === limit ? String(rows.at(-1)?.['id']) : null,
      }
    },
    async rewrap(changes) {
      return changes.map(({ id, expectedWrap, wrap }) => {
        const { changes: written } = exchange.run({
          id: Number(id),
          expected: expectedWrap,
          wrap,
          colon: ':',
        })
        if (written === 1) return 'done'
        const row = look.get(wrap.length + 1, `${wrap}:`, Number(id))
        if (row === undefined) return 'missing'
        return row['already'] === 1 ? 'already' : 'changed'
      })
    },
  }
}

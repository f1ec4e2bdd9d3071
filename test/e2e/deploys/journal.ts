import type { Database } from '../../../packages/postgres/test/database.ts'
import { fingerprintOf, kekIdOf } from './wrap-text.ts'

const POLL_MS = 40

/**
 * Watches the tables from outside. A trigger numbers every write of a secret and every change of the current KEK, inside its
 * own transaction: since the fence keeps those apart, the numbers are in the order in which they took effect. Besides, what is
 * under v1 is looked at again and again, and may only become less once v2 is current.
 */
export class Journal {
  readonly #database: Database
  #timer: NodeJS.Timeout | null = null
  #looking: Promise<void> = Promise.resolve()
  #underV1: ReadonlySet<string> | null = null
  readonly #faults: string[] = []
  /** How often the table was looked at with v2 current. */
  looks = 0

  private constructor(database: Database) {
    this.#database = database
  }

  static async install(database: Database): Promise<Journal> {
    const of = (object: string) => database.of(object)
    await database.run(
      `CREATE TABLE ${of('journal')} (n bigserial PRIMARY KEY, what text, kek_id text, wrap text)`,
    )
    await database.run(`CREATE FUNCTION ${of('note_secret')}() RETURNS trigger LANGUAGE plpgsql AS $note$ BEGIN
      INSERT INTO ${of('journal')} (what, kek_id, wrap) VALUES ('secret', split_part(NEW.wrap, ':', 3), NEW.wrap);
      RETURN NULL;
    END $note$`)
    await database.run(`CREATE FUNCTION ${of('note_keyring')}() RETURNS trigger LANGUAGE plpgsql AS $note$ BEGIN
      INSERT INTO ${of('journal')} (what, kek_id) SELECT 'keyring', each.key
        FROM jsonb_each(NEW.value::jsonb -> 'keks') each WHERE each.value ->> 'state' = 'current';
      RETURN NULL;
    END $note$`)
    await database.run(`CREATE TRIGGER note AFTER INSERT OR UPDATE ON ${of('secrets')}
      FOR EACH ROW EXECUTE FUNCTION ${of('note_secret')}()`)
    await database.run(`CREATE TRIGGER note AFTER INSERT OR UPDATE ON ${of('documents')}
      FOR EACH ROW WHEN (NEW.key = 'keyring') EXECUTE FUNCTION ${of('note_keyring')}()`)
    const journal = new Journal(database)
    journal.#poll()
    return journal
  }

  /** Stops looking and says everything that was wrong. */
  async close(): Promise<readonly string[]> {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    await this.#looking
    return this.#faults
  }

  /** Writes of secrets in the order in which they took effect, each with whether v2 was current by then. */
  async writes(): Promise<
    readonly { readonly kekId: string; readonly fingerprint: string; readonly isAfter: boolean }[]
  > {
    const rows = await this.#database.run<{ wrap: string; after: boolean | null }>(
      `SELECT wrap, n > (SELECT min(n) FROM ${this.#database.of('journal')} WHERE what = 'keyring' AND kek_id = 'v2') AS after
       FROM ${this.#database.of('journal')} WHERE what = 'secret' ORDER BY n`,
    )
    return rows.map(({ wrap, after }) => ({
      kekId: kekIdOf(wrap),
      fingerprint: fingerprintOf(wrap),
      isAfter: after === true,
    }))
  }

  /** Records under a KEK, counted by nobody but the database. */
  async count(kekId: string): Promise<number> {
    const [row] = await this.#database.run<{ count: number }>(
      `SELECT count(*)::int AS count FROM ${this.#database.of('secrets')} WHERE split_part(wrap, ':', 3) = $1`,
      [kekId],
    )
    return row?.count ?? -1
  }

  /** Heartbeats of every instance so far, by instance id. */
  async beats(): Promise<ReadonlyMap<string, number>> {
    const rows = await this.#database.run<{ key: string; revision: string }>(
      `SELECT key, revision FROM ${this.#database.of('documents')} WHERE key LIKE 'instance/%'`,
    )
    return new Map(rows.map(({ key, revision }) => [key.slice('instance/'.length), Number(revision)]))
  }

  #poll(): void {
    this.#timer = setTimeout(() => {
      this.#looking = this.#look()
        .catch((error: unknown) => void this.#faults.push(`a look at the table failed: ${String(error)}`))
        .finally(() => {
          if (this.#timer !== null) this.#poll()
        })
    }, POLL_MS)
  }

  async #look(): Promise<void> {
    const [row] = await this.#database.run<{ fence: string | null; late: number; wraps: string[] }>(
      `WITH fence AS (SELECT min(n) AS n FROM ${this.#database.of('journal')} WHERE what = 'keyring' AND kek_id = 'v2')
       SELECT fence.n AS fence,
         (SELECT count(*)::int FROM ${this.#database.of('journal')} j WHERE j.kek_id = 'v1' AND j.n > fence.n) AS late,
         (SELECT coalesce(array_agg(wrap), '{}') FROM ${this.#database.of('secrets')} WHERE kek_id = 'v1') AS wraps
       FROM fence`,
    )
    if (row === undefined || row.fence === null) return
    this.looks += 1
    if (row.late > 0) this.#faults.push(`${row.late} writes under v1 took effect after the fence`)
    const before = this.#underV1
    const added = before === null ? [] : row.wraps.filter((wrap) => !before.has(wrap))
    if (added.length > 0) this.#faults.push(`${added.length} records under v1 appeared after the fence`)
    this.#underV1 = new Set(row.wraps)
  }
}

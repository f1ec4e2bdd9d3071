import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import {
  openSqliteDatabase,
  type SqliteStore,
  type SqliteStoreOptions,
  sqliteStore,
} from '@talos/envelope-sqlite'
import { onTestFinished } from 'vitest'

/** A database file of its own in a folder of its own, with the connections opened to it. */
export class DatabaseFile {
  readonly #folder = mkdtempSync(join(tmpdir(), 'sqlite-store-'))
  readonly path = join(this.#folder, 'secrets.db')
  readonly #connections: DatabaseSync[] = []

  connect(): DatabaseSync {
    const database = openSqliteDatabase(this.path)
    this.#connections.push(database)
    return database
  }

  /** A store on a connection of its own. */
  store(options: Omit<SqliteStoreOptions, 'database'> = {}): SqliteStore {
    return sqliteStore({ database: this.connect(), ...options })
  }

  async migrated(options: Omit<SqliteStoreOptions, 'database'> = {}): Promise<SqliteStore> {
    const store = this.store(options)
    await store.migrate()
    return store
  }

  remove(): void {
    // A test may have closed one itself.
    for (const database of this.#connections) if (database.isOpen) database.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** A database file that is removed when the test is over. */
export function databaseFile(): DatabaseFile {
  const file = new DatabaseFile()
  onTestFinished(() => file.remove())
  return file
}

import { DatabaseSync } from 'node:sqlite'
import { conformanceChecks, type HookName, type OpenStore } from '@talos/envelope-conformance'
import { sqliteStore } from '@talos/envelope-sqlite'
import { describe, test } from 'vitest'
import { DatabaseFile } from '../database-file.ts'

const SETTINGS = [
  'synchronous',
  'busy_timeout',
  'journal_mode',
  'locking_mode',
  'foreign_keys',
  'wal_autocheckpoint',
  'cache_size',
  'secure_delete',
  'temp_store',
  'query_only',
]

const open: OpenStore = async () => {
  const file = new DatabaseFile()
  let ahead = 0
  const options = { now: () => Date.now() + ahead }
  const database = file.connect()
  const store = sqliteStore({ database, ...options })
  await store.migrate()
  return {
    store,
    another: async () => file.store(options),
    advance: (milliseconds) => {
      ahead += milliseconds
    },
    async hold() {
      const holder = file.connect()
      holder.exec('BEGIN IMMEDIATE')
      return async () => holder.exec('ROLLBACK')
    },
    async destroySealed() {
      file.connect().exec('DROP TABLE talos_sealed')
    },
    async restore() {
      await store.renewIncarnation()
    },
    clientState: () => [database.isOpen, ...SETTINGS.map((name) => setting(database, name))],
    close: async () => file.remove(),
  }
}

function setting(database: DatabaseSync, name: string): unknown {
  return database.prepare(`PRAGMA ${name}`).get()
}

// There is no network, and no transaction of this store stays open beyond one turn of the event loop.
const without: readonly HookName[] = ['holdWrite', 'proxied', 'outage']

describe('the SQLite store, three connections to one file', () => {
  test.for(conformanceChecks(open, { without }))('$name', { timeout: 60_000 }, ({ run }) => run())
})

describe('the SQLite store in memory, one connection', () => {
  const openInMemory: OpenStore = async () => {
    const database = new DatabaseSync(':memory:')
    const store = sqliteStore({ database, tablePrefix: 'other_' })
    await store.migrate()
    return { store, close: async () => database.close() }
  }
  const neither: readonly HookName[] = [...without, 'hold', 'destroySealed', 'restore', 'clientState']
  test.for(conformanceChecks(openInMemory, { without: neither }))('$name', ({ run }) => run())
})

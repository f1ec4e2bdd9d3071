import type { SecretStore } from '@talos/envelope'
import { postgresStore } from '@talos/envelope-postgres'
import { redisStore } from '@talos/envelope-redis'
import { openSqliteDatabase, sqliteStore } from '@talos/envelope-sqlite'
import { Redis } from 'ioredis'
import { Pool } from 'pg'

/** A store whose tables are there, and what closes its client. */
export interface OpenedStore {
  readonly store: SecretStore
  close(): Promise<void>
}

/**
 * Opens the store of a gateway and makes its tables where there are none.
 *
 * @param database - A `postgres://` or `redis://` address, or the path of a SQLite file.
 */
export async function openStore(database: string): Promise<OpenedStore> {
  if (isPostgres(database)) {
    const pool = new Pool({ connectionString: database, application_name: 'gateway' })
    // Idle connections break when the server is restarted; the pool makes new ones.
    pool.on('error', () => {})
    return await opened(postgresStore({ pool }), () => pool.end())
  }
  if (isRedis(database)) {
    const client = new Redis(database, { connectionName: 'gateway' })
    // Connections break when the server is restarted; the client makes new ones.
    client.on('error', () => {})
    return { store: redisStore({ client }), close: async () => client.disconnect() }
  }
  const connection = openSqliteDatabase(database)
  return await opened(sqliteStore({ database: connection }), async () => connection.close())
}

export function isPostgres(database: string): boolean {
  return /^postgres(ql)?:\/\//.test(database)
}

export function isRedis(database: string): boolean {
  return /^rediss?:\/\//.test(database)
}

async function opened(
  store: SecretStore & { migrate(): Promise<void> },
  close: () => Promise<void>,
): Promise<OpenedStore> {
  try {
    await store.migrate()
    return { store, close }
  } catch (error) {
    await close()
    throw error
  }
}

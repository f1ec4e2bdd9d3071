import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import type { SecretStore } from '@talos/envelope'
import { createTable, dynamodbStore } from '@talos/envelope-dynamodb'
import { postgresStore } from '@talos/envelope-postgres'
import { redisStore } from '@talos/envelope-redis'
import { openSqliteDatabase, sqliteStore } from '@talos/envelope-sqlite'
import { Redis } from 'ioredis'
import { Pool } from 'pg'

const EMULATOR_CREDENTIALS = { accessKeyId: 'local', secretAccessKey: 'local' }

/** A store whose tables are there, and what closes its client. */
export interface OpenedStore {
  readonly store: SecretStore
  close(): Promise<void>
}

/**
 * Opens the store of a gateway and makes its tables where there are none.
 *
 * @param database - A `postgres://` or `redis://` address, `dynamodb:///<table>`, or the path of a SQLite file.
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
  if (isDynamodb(database)) return await openDynamodb(new URL(database))
  const connection = openSqliteDatabase(database)
  return await opened(sqliteStore({ database: connection }), async () => connection.close())
}

export function isPostgres(database: string): boolean {
  return /^postgres(ql)?:\/\//.test(database)
}

export function isRedis(database: string): boolean {
  return /^rediss?:\/\//.test(database)
}

export function isDynamodb(database: string): boolean {
  return /^dynamodb:\/\/.*\/[\w.-]{3,255}$/.test(database)
}

/** With a host it is an emulator: it has no backups, and takes anybody's credentials. */
async function openDynamodb({ host, pathname }: URL): Promise<OpenedStore> {
  const emulator = { endpoint: `http://${host}`, region: 'local', credentials: EMULATOR_CREDENTIALS }
  const client = new DynamoDBClient(host === '' ? {} : emulator)
  const table = pathname.slice(1)
  const migrate = () =>
    createTable({ client, table, pointInTimeRecovery: host === '', deletionProtection: host === '' })
  const store = dynamodbStore({ client, table })
  return await opened(Object.assign(store, { migrate }), async () => client.destroy())
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

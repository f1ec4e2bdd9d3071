import { createRequire } from 'node:module'
import type { SecretStore } from '@talos/envelope'
import type { Clients } from '../../packages/redis/test/clients.ts'
import type { Address } from './protocol.ts'

/** A store on a client of its own. */
export interface OpenedStore {
  readonly store: SecretStore
  close(): Promise<void>
}

type RedisClient = ReturnType<Clients['redis']>

/** Opens the store at an address. Only what that one needs is loaded: a process that is to be killed must start fast. */
export async function openAddress(address: Address, connections = 4): Promise<OpenedStore> {
  switch (address.kind) {
    case 'sqlite': {
      const { openSqliteDatabase, sqliteStore } = await import('@talos/envelope-sqlite')
      const database = openSqliteDatabase(address.path)
      return { store: sqliteStore({ database }), close: async () => database.close() }
    }
    case 'postgres': {
      const { postgresStore } = await import('@talos/envelope-postgres')
      const { Pool } = await import('pg')
      const pool = new Pool({ connectionString: address.url, max: connections })
      pool.on('error', () => {})
      return { store: postgresStore({ pool, schema: address.schema }), close: () => pool.end() }
    }
    case 'redis': {
      const { redisStore } = await import('@talos/envelope-redis')
      const client = newRedis(address.port)
      return { store: redisStore({ client, prefix: address.prefix }), close: async () => client.disconnect() }
    }
  }
}

/** The driver is the adapter's own: where this file lies, none is installed. */
export function newRedis(port: number): RedisClient {
  const adapter = new URL('../../packages/redis/package.json', import.meta.url)
  const { Redis } = createRequire(adapter)('ioredis') as { Redis: new (options: object) => RedisClient }
  const client = new Redis({ host: '127.0.0.1', port, retryStrategy: () => 20 })
  client.on('error', () => {})
  return client
}

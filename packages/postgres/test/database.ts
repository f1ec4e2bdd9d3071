import { randomBytes } from 'node:crypto'
import { type PostgresStore, type PostgresStoreOptions, postgresStore } from '@talos/envelope-postgres'
import { Pool, type PoolClient, type PoolConfig } from 'pg'
import { onTestFinished } from 'vitest'

/** A schema of its own in one database, with the pools opened to it. */
export class Database {
  readonly url: string
  readonly schema: string
  readonly #pools: Pool[] = []

  constructor(url: string) {
    this.url = url
    // Some of what has to be quoted.
    this.schema = `Test "${randomBytes(6).toString('hex')}"`
  }

  pool(config: PoolConfig = {}): Pool {
    const pool = new Pool({ connectionString: this.url, max: 10, ...config })
    // A test may end the server under it.
    pool.on('error', () => {})
    this.#pools.push(pool)
    return pool
  }

  /** A store on a pool of its own. */
  store(options: Partial<PostgresStoreOptions> = {}): PostgresStore {
    return postgresStore({ pool: this.pool(), schema: this.schema, ...options })
  }

  async migrated(options: Partial<PostgresStoreOptions> = {}): Promise<PostgresStore> {
    const store = this.store(options)
    await store.migrate()
    return store
  }

  /** The quoted name of a table or function. */
  of(object: string): string {
    return `"${this.schema.replaceAll('"', '""')}"."talos_${object}"`
  }

  /** Runs statements behind the store's back. */
  async run<R extends object>(sql: string, values: unknown[] = []): Promise<R[]> {
    this.#pools[0] ?? this.pool()
    const pool = this.#pools[0]!
    return (await pool.query<R>(sql, values)).rows
  }

  /** A client of the application, given back when the test is over. */
  async client(): Promise<PoolClient> {
    const client = await this.pool({ max: 1 }).connect()
    client.on('error', () => {})
    onTestFinished(() => client.release(true))
    return client
  }

  async close(): Promise<void> {
    await Promise.all(this.#pools.map((pool) => (pool.ended ? undefined : pool.end())))
  }
}

/** A schema whose pools are ended when the test is over. */
export function database(url: string): Database {
  const made = new Database(url)
  onTestFinished(() => made.close())
  return made
}

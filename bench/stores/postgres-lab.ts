import { type PostgresStore, postgresStore } from '@talos/envelope-postgres'
import { Pool } from 'pg'
import { PostgresServer } from '../../test/services/postgres-server.ts'
import { npmPostgres } from '../../test/services/programs.ts'

/**
 * Commits reach the disk as in production. What comes at a time of its own, and would meet one contender and not the other, is
 * off: each table is vacuumed before each batch, and there is no checkpoint.
 */
const SETTINGS = {
  fsync: 'on',
  shared_buffers: '512MB',
  max_wal_size: '16GB',
  checkpoint_timeout: '1h',
  autovacuum: 'off',
}

/** A server of PostgreSQL 18 of the suite's own, with its data in a temporary folder. */
export class PostgresLab {
  readonly #server: PostgresServer
  readonly #pools = new Map<number, Pool>()
  readonly #stop = (): void => {
    void this.stop().finally(() => process.exit(130))
  }

  private constructor(server: PostgresServer) {
    this.#server = server
    // A server outlives the process that started it.
    process.once('SIGINT', this.#stop).once('SIGTERM', this.#stop)
  }

  static async start(): Promise<PostgresLab> {
    return new PostgresLab(await PostgresServer.start(npmPostgres(), { settings: SETTINGS }))
  }

  /** The address of the database, for other processes. */
  get url(): string {
    return this.#server.url()
  }

  /** A pool of so many connections, the same at each call. */
  pool(connections: number): Pool {
    const known = this.#pools.get(connections)
    if (known !== undefined) return known
    const pool = new Pool({ connectionString: this.#server.url(), max: connections })
    pool.on('error', () => {})
    this.#pools.set(connections, pool)
    return pool
  }

  /** A store over so many connections. */
  store(tablePrefix: string, connections: number): PostgresStore {
    return postgresStore({ pool: this.pool(connections), tablePrefix })
  }

  /** Runs one statement. */
  async run(sql: string): Promise<void> {
    await this.pool(1).query(sql)
  }

  /** Ends the server and takes its folder away. */
  async stop(): Promise<void> {
    process.removeListener('SIGINT', this.#stop).removeListener('SIGTERM', this.#stop)
    await Promise.allSettled([...this.#pools.values()].map((pool) => pool.end()))
    await this.#server.stop()
  }
}

/** The table of the secrets of one store, between two batches. */
export class SecretsTable {
  readonly #lab: PostgresLab
  readonly #table: string
  #isMarked = false

  constructor(lab: PostgresLab, tablePrefix: string) {
    this.#lab = lab
    this.#table = `${tablePrefix}secrets`
  }

  /** Leaves the same state to every batch: true wrap texts, and no dead rows. */
  async settle(): Promise<void> {
    if (this.#isMarked) await this.#replaceLetter('k')
    this.#isMarked = false
    await this.#lab.run(`VACUUM ANALYZE ${this.#table}`)
  }

  /** The least that moving every record to another KEK costs: one statement that changes `wrap` and so `kek_id`. */
  async bareUpdate(): Promise<void> {
    this.#isMarked = true
    await this.#replaceLetter('z')
  }

  /** The first letter of the KEK id, behind `talos:v2:`. */
  async #replaceLetter(letter: string): Promise<void> {
    await this.#lab.run(`UPDATE ${this.#table} SET wrap = overlay(wrap PLACING '${letter}' FROM 10 FOR 1)`)
  }
}

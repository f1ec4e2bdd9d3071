import { openCuttingProxy, type StoreUnderTest } from '@talos/envelope-conformance'
import { createConnection, createPool, type Pool, type PoolOptions } from 'mysql2/promise'
import { mariadbStore } from '../mariadb-store.ts'

let databases = 0

/** Makes an empty database. */
export async function newDatabase(server: string): Promise<string> {
  databases += 1
  const name = `test_${process.pid}_${databases}`
  const admin = await createConnection(server)
  await admin.query(`CREATE DATABASE ${name}`)
  await admin.end()
  return name
}

/** Opens a store in a database of its own, with every hook that a MariaDB server has. */
export async function openForKit(server: string): Promise<StoreUnderTest> {
  const { hostname: host, port } = new URL(server)
  const direct = { host, port: Number(port), user: 'root', database: await newDatabase(server) }
  const proxy = await openCuttingProxy(direct)
  const pools: Pool[] = []
  const newPool = (options: PoolOptions) => {
    const pool = createPool({ connectionLimit: 4, ...options })
    pools.push(pool)
    return pool
  }
  const through = newPool({ ...direct, host: proxy.host, port: proxy.port })
  const store = mariadbStore({ pool: through })
  await store.migrate()
  const admin = newPool(direct)

  return {
    store,
    another: async () => mariadbStore({ pool: newPool(direct) }),
    hold: async () => {
      const stranger = await admin.getConnection()
      await stranger.query('START TRANSACTION')
      await stranger.query('SELECT * FROM talos_documents FOR UPDATE')
      await stranger.query('SELECT * FROM talos_secrets FOR UPDATE')
      return async () => {
        await stranger.query('ROLLBACK')
        stranger.release()
      }
    },
    holdWrite: async (guard, changes) => {
      const connection = await admin.getConnection()
      await connection.query('START TRANSACTION')
      const outcomes = await store.within(connection).write(guard, changes)
      return {
        outcomes,
        commit: async () => {
          await connection.query('COMMIT')
          connection.release()
          return true
        },
      }
    },
    proxied: async () => ({ store, proxy }),
    outage: async () => {
      proxy.interrupt()
      return async () => proxy.resume()
    },
    destroySealed: async () => {
      await admin.query('ALTER TABLE talos_secrets DROP COLUMN sealed')
    },
    restore: () => store.renewIncarnation(),
    clientState: () => stateOf(through),
    close: async () => {
      await Promise.allSettled(pools.map((pool) => pool.end()))
      await proxy.close()
      const last = await createConnection(server)
      await last.query(`DROP DATABASE ${direct.database}`)
      await last.end()
    },
  }
}

/** What the caller can see of a pool. */
function stateOf({ pool }: Pool): unknown {
  const { connectionLimit, waitForConnections, queueLimit, maxIdle, idleTimeout } = pool.config
  return { connectionLimit, waitForConnections, queueLimit, maxIdle, idleTimeout }
}

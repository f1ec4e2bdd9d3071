import { conformanceChecks, type OpenStore, openCuttingProxy } from '@talos/envelope-conformance'
import { beforeAll, describe, test } from 'vitest'
import { type ServiceName, service } from '../../../../test/services/service.ts'
import { Database } from '../database.ts'

const SERVERS: readonly (readonly [string, ServiceName])[] = [
  ['PostgreSQL 18', 'postgres-18'],
  ['PostgreSQL 15, an ICU locale', 'postgres-15'],
  ['PostgreSQL 18 behind PgBouncer in transaction mode', 'pgbouncer'],
]

describe.each(SERVERS)('the PostgreSQL store on %s', (_, name) => {
  let url = ''
  beforeAll(async () => {
    url = await service(name)
  })

  const open: OpenStore = async () => {
    const database = new Database(url)
    const { hostname: host, port } = new URL(url)
    const proxy = await openCuttingProxy({ host, port: Number(port) })
    const through = new URL(url)
    through.host = `${proxy.host}:${proxy.port}`
    const pool = database.pool({ connectionString: through.href })
    const store = database.store({ pool })
    await store.migrate()
    return {
      store,
      another: async () => database.store(),
      async hold() {
        const holder = await pool.connect()
        await holder.query('BEGIN')
        await holder.query(
          `LOCK TABLE ${database.of('fence')}, ${database.of('documents')} IN EXCLUSIVE MODE`,
        )
        return async () => {
          await holder.query('ROLLBACK')
          holder.release()
        }
      },
      async holdWrite(guard, changes) {
        const client = await database.pool().connect()
        await client.query('BEGIN')
        const outcomes = await store.within(client).write(guard, changes)
        return {
          outcomes,
          async commit() {
            const { command } = await client.query('COMMIT')
            client.release()
            return command === 'COMMIT'
          },
        }
      },
      proxied: async () => ({ store, proxy }),
      async outage() {
        proxy.interrupt()
        return async () => proxy.resume()
      },
      async destroySealed() {
        await database.run(`ALTER TABLE ${database.of('secrets')} DROP COLUMN sealed`)
      },
      async restore() {
        await store.renewIncarnation()
      },
      clientState: () => ({ ended: pool.ended, options: { ...pool.options }, waiting: pool.waitingCount }),
      async close() {
        await database.close()
        await proxy.close()
      },
    }
  }

  test.for(conformanceChecks(open))('$name', { timeout: 60_000 }, ({ run }) => run())
})

import { serve } from '@hono/node-server'
import { environmentKeys, openVault } from '@talos/envelope'
import { adminFetchHandler, bearerAuth } from '@talos/envelope-express'
import { openSqliteDatabase, sqliteStore } from '@talos/envelope-sqlite'
import Fastify from 'fastify'
import { Hono } from 'hono'
import { mountInFastify } from './fastify.ts'
import { mountInHono } from './hono.ts'

const MOUNT = '/admin/v1/secrets'
const [host = 'hono'] = process.argv.slice(2)
const port = Number(process.env['PORT'] ?? '3000')

const database = openSqliteDatabase(process.env['DATABASE'] ?? './secrets.sqlite')
const store = sqliteStore({ database })
await store.migrate()
const vault = await openVault({ store, keys: environmentKeys(), namespace: 'fetch-hosts' })
const auth = bearerAuth({ token: process.env['ROOT_TOKEN'] })
const admin = adminFetchHandler({ vault, store, auth, mountPath: MOUNT })

let closeServer: () => Promise<unknown>
if (host === 'fastify') {
  const app = Fastify()
  await mountInFastify(app, MOUNT, admin)
  await app.listen({ port, host: '127.0.0.1' })
  closeServer = () => app.close()
} else {
  const app = new Hono()
  mountInHono(app, MOUNT, admin)
  const server = serve({ fetch: app.fetch, port, hostname: '127.0.0.1' })
  closeServer = () => new Promise((resolve) => server.close(resolve))
}
const stop = async (): Promise<void> => {
  // The streams of live events would keep the server from closing.
  admin.close()
  await closeServer()
  await vault.close()
  database.close()
}
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void stop())
console.log(`${host}: the admin API is at http://127.0.0.1:${port}${MOUNT}`)

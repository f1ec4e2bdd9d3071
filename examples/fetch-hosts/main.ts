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

const store = sqliteStore({ database: openSqliteDatabase(process.env['DATABASE'] ?? './secrets.sqlite') })
await store.migrate()
const vault = await openVault({ store, keys: environmentKeys(), namespace: 'fetch-hosts' })
const auth = bearerAuth({ token: process.env['ROOT_TOKEN'] })
const admin = adminFetchHandler({ vault, store, auth, mountPath: MOUNT })

if (host === 'fastify') {
  const app = Fastify()
  await mountInFastify(app, MOUNT, admin)
  await app.listen({ port, host: '127.0.0.1' })
} else {
  const app = new Hono()
  mountInHono(app, MOUNT, admin)
  serve({ fetch: app.fetch, port, hostname: '127.0.0.1' })
}
console.log(`${host}: the admin API is at http://127.0.0.1:${port}${MOUNT}`)

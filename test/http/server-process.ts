/** One process that serves the admin API of a SQLite file, on a plain Node server. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { explicitKeys, openVault } from '@talos/envelope'
import { adminRouter, bearerAuth } from '@talos/envelope-express'
import { openSqliteDatabase, sqliteStore } from '@talos/envelope-sqlite'

const { DATABASE = '', CURRENT = 'v1', ROOT_TOKEN } = process.env
const database = openSqliteDatabase(DATABASE)
const store = sqliteStore({ database })
await store.migrate()
const keks = {
  v1: new Uint8Array(32).map((_, at) => at * 7),
  v2: new Uint8Array(32).map((_, at) => at * 5 + 1),
}
const vault = await openVault({
  store,
  keys: explicitKeys({ currentKekId: CURRENT, keks }),
  namespace: 'http',
})
const router = adminRouter({ vault, store, auth: bearerAuth({ token: ROOT_TOKEN }), console: false })
const server = createServer((request, response) => {
  router(request, response, (error) => void response.writeHead(error === undefined ? 404 : 500).end())
})
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
process.on('disconnect', () => process.exit())

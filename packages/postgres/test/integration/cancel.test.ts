import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { service } from '../../../../test/services/service.ts'
import { until } from '../../../../test/stored-secrets.ts'
import { Database } from '../database.ts'

/** The request code of the frontend/backend protocol, section 54.7. */
const CANCEL_REQUEST = 80_877_102

const ends: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** A way to the server that loses so many requests to cancel, as a pooler does whose client waits for a connection. */
async function losing(
  url: string,
  lost: number,
): Promise<{ readonly url: string; readonly cancels: () => number }> {
  const { hostname: host, port } = new URL(url)
  const sockets = new Set<Socket>()
  let cancels = 0
  const server = createServer((client) => {
    sockets.add(client)
    client.on('error', () => {})
    client.once('data', (first) => {
      const isCancel = first.length === 16 && first.readInt32BE(4) === CANCEL_REQUEST
      if (isCancel) cancels += 1
      if (isCancel && cancels <= lost) {
        client.destroy()
        return
      }
      const upstream = connect({ host, port: Number(port) })
      sockets.add(upstream)
      upstream.on('error', () => client.destroy())
      upstream.write(first)
      client.pipe(upstream).pipe(client)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  ends.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const through = new URL(url)
  through.host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url: through.href, cancels: () => cancels }
}

test('a statement whose first requests to cancel are lost is cancelled all the same, and its client lent again', async () => {
  const url = await service('postgres-18')
  const database = new Database(url)
  ends.push(() => database.close())
  const way = await losing(url, 2)
  const pool = database.pool({ connectionString: way.url, max: 1 })
  const store = database.store({ pool })
  await store.migrate()
  const holder = await database.pool().connect()
  await holder.query('BEGIN')
  await holder.query(`LOCK TABLE ${database.of('documents')} IN EXCLUSIVE MODE`)
  const abort = new AbortController()
  const held = store.writeDocument('a', 0, 'x', { signal: abort.signal }).catch((error: unknown) => error)
  const waiting = 'SELECT FROM pg_locks WHERE NOT granted AND relation = to_regclass($1)'
  await until(async () => (await holder.query(waiting, [database.of('documents')])).rows.length > 0)
  abort.abort()
  expect(await held).toMatchObject({ code: 'ERR_STORE_UNAVAILABLE', retryable: true })
  expect(way.cancels()).toBeGreaterThanOrEqual(3)
  await holder.query('ROLLBACK')
  holder.release()
  // No request is left over that could meet the next statement on the only client.
  for (let count = 0; count < 20; count += 1) expect(await store.readDocument('a')).toBeNull()
})

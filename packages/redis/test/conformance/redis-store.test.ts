import { once } from 'node:events'
import { conformanceChecks, type OpenStore, openCuttingProxy } from '@talos/envelope-conformance'
import { redisStore } from '@talos/envelope-redis'
import type { RedisOptions } from 'ioredis'
import { beforeAll, describe, test } from 'vitest'
import { service } from '../../../../test/services/service.ts'
import { Clients, newPrefix } from '../clients.ts'

const SET_UP: readonly (readonly [string, Omit<RedisOptions, 'replyMapping'>])[] = [
  ['', {}],
  [', with automatic pipelines and a key prefix', { enableAutoPipelining: true, keyPrefix: 'app:' }],
]

describe.each(SET_UP)('the Redis store on one server%s', (_, options) => {
  let port = 0
  beforeAll(async () => {
    port = Number(new URL(await service('redis')).port)
  })

  const open: OpenStore = async () => {
    const clients = new Clients()
    const prefix = newPrefix()
    const proxy = await openCuttingProxy({ host: '127.0.0.1', port })
    const client = clients.redis(proxy.port, options)
    const store = redisStore({ client, prefix })
    await once(client, 'ready')
    const direct = clients.redis(port, options)
    return {
      store,
      another: async () => redisStore({ client: clients.redis(port, options), prefix }),
      async hold() {
        await direct.client('PAUSE', 60_000, 'WRITE')
        return async () => {
          await direct.client('UNPAUSE')
        }
      },
      proxied: async () => ({ store, proxy }),
      async outage() {
        proxy.interrupt()
        return async () => proxy.resume()
      },
      async destroySealed() {
        await direct.set(`{${prefix}}:sealed`, 'no hash')
      },
      async restore() {
        await store.renewIncarnation()
      },
      clientState: () => ({ status: client.status, options: { ...client.options } }),
      async close() {
        proxy.resume()
        const keys = ['store', 'names', 'wraps', 'metas', 'sealed', 'documents', 'keys']
        await direct.del(keys.map((key) => `{${prefix}}:${key}`))
        clients.close()
        await proxy.close()
      },
    }
  }

  const checks = conformanceChecks(open, { without: ['holdWrite', 'advance'] })
  test.for(checks)('$name', { timeout: 60_000 }, ({ run }) => run())
})

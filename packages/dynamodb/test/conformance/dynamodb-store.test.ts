import { conformanceChecks, type OpenStore, openCuttingProxy } from '@talos/envelope-conformance'
import { beforeAll, describe, test } from 'vitest'
import { START_TIMEOUT_MS } from '../../../../test/services/dynamodb-local.ts'
import { service } from '../../../../test/services/service.ts'
import { Table } from '../table.ts'

let url = ''
beforeAll(async () => {
  url = await service('dynamodb')
}, START_TIMEOUT_MS)

describe('the DynamoDB store on DynamoDB Local', () => {
  const open: OpenStore = async () => {
    const { hostname: host, port } = new URL(url)
    const proxy = await openCuttingProxy({ host, port: Number(port) })
    const table = await new Table(url).create()
    const client = table.client({ endpoint: `http://${proxy.host}:${proxy.port}` })
    const store = table.store({ client })
    return {
      store,
      another: async () => table.store(),
      proxied: async () => ({ store, proxy }),
      async outage() {
        proxy.interrupt()
        return async () => proxy.resume()
      },
      async destroySealed() {
        for (const item of await table.items()) {
          if (item['sealed'] === undefined) continue
          const { sealed: _, ...rest } = item
          if (item['wrap'] === undefined) await table.remove(item)
          else await table.put(rest)
        }
      },
      async restore() {
        await store.renewIncarnation()
      },
      clientState() {
        const { endpoint, region, credentials, maxAttempts, retryMode, requestHandler, logger } =
          client.config
        const config = { endpoint, region, credentials, maxAttempts, retryMode, requestHandler, logger }
        return { config, middleware: client.middlewareStack.identify() }
      },
      async close() {
        table.close()
        await proxy.close()
      },
    }
  }

  test.for(conformanceChecks(open, { without: ['hold', 'holdWrite'] }))(
    '$name',
    { timeout: 60_000 },
    ({ run }) => run(),
  )
})

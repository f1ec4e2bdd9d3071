import { once } from 'node:events'
import {
  type CuttingProxy,
  conformanceChecks,
  type OpenStore,
  openCuttingProxy,
} from '@talos/envelope-conformance'
import { redisStore } from '@talos/envelope-redis'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { service } from '../../../../test/services/service.ts'
import { Clients, newPrefix } from '../clients.ts'
import { SlotMover } from '../slot-mover.ts'

/** The ports of the masters, the one that was asked first. */
let ports: readonly number[] = []
beforeAll(async () => {
  const port = Number(new URL(await service('redis-cluster')).port)
  const client = new Redis(port)
  const ranges = await client.cluster('SLOTS')
  ports = [...new Set([port, ...ranges.flatMap(([, , node]) => (node === undefined ? [] : [node[1]]))])]
  client.disconnect()
})

const PLACES = [
  ['', {}, false],
  [', with automatic pipelines and a key prefix', { enableAutoPipelining: true, keyPrefix: 'app:' }, false],
  [' whose slot is moved from master to master all the time', {}, true],
] as const

describe.each(PLACES)('the Redis store on a Cluster%s', (_, options, moving) => {
  let moves = 0

  const open: OpenStore = async () => {
    const clients = new Clients()
    const prefix = newPrefix()
    const mover = await SlotMover.of(clients, ports, `{${prefix}}`)
    const proxies = new Map<number, CuttingProxy>()
    for (const port of ports) proxies.set(port, await openCuttingProxy({ host: '127.0.0.1', port }))
    const natMap = Object.fromEntries([...proxies].map(([port, proxy]) => [`127.0.0.1:${port}`, proxy]))
    const client = clients.cluster(proxies.get(mover.port)!.port, options, natMap)
    await once(client, 'ready')
    const store = redisStore({ client, prefix })
    const direct = clients.cluster(ports[0]!, options)
    const masters = ports.map((port) => clients.redis(port))
    if (moving) {
      // Keys that are not there yet would have to wait until their slot has arrived.
      await store.identify()
      mover.start()
    }
    return {
      store,
      another: async () => redisStore({ client: clients.cluster(ports[0]!, options), prefix }),
      async hold() {
        // A key on its way to a master that takes no writes would keep the one that sends it from answering anything.
        const goOn = await SlotMover.standStill()
        await Promise.all(masters.map((master) => master.client('PAUSE', 60_000, 'WRITE')))
        return async () => {
          await Promise.all(masters.map((master) => master.client('UNPAUSE')))
          goOn()
        }
      },
      async proxied() {
        // Answers are counted at one node, so the slot stays where it is from now on.
        await mover.stop()
        return { store, proxy: proxies.get(mover.port)! }
      },
      async outage() {
        for (const each of proxies.values()) each.interrupt()
        return async () => {
          for (const each of proxies.values()) each.resume()
        }
      },
      async destroySealed() {
        await direct.set(`{${prefix}}:sealed`, 'no hash')
      },
      async restore() {
        await store.renewIncarnation()
      },
      clientState: () => ({ status: client.status, options: { ...client.options } }),
      async close() {
        await mover.stop()
        moves += mover.moves
        const keys = ['store', 'names', 'wraps', 'metas', 'sealed', 'documents', 'keys']
        await direct.del(keys.map((key) => `{${prefix}}:${key}`))
        clients.close()
        for (const each of proxies.values()) await each.close()
      },
    }
  }

  const checks = conformanceChecks(open, { without: ['holdWrite', 'advance'] })
  test.for(checks)('$name', { timeout: 60_000 }, ({ run }) => run())

  afterAll(() => {
    if (!moving) return
    console.log(`the slots of the stores were moved ${moves} times`)
    expect(moves).toBeGreaterThan(checks.length)
  })
})

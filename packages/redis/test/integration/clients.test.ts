import { redisStore } from '@talos/envelope-redis'
import { Redis } from 'ioredis'
import { beforeAll, expect, test } from 'vitest'
import { service } from '../../../../test/services/service.ts'
import { creating, filled, rewrapping } from '../../../../test/stored-secrets.ts'
import { clients, newPrefix } from '../clients.ts'

let port = 0
beforeAll(async () => {
  port = Number(new URL(await service('redis')).port)
})

test.each([
  ['RESP2', { protocol: 2 }],
  ['numbers as texts', { stringNumbers: true }],
  ['automatic pipelines', { enableAutoPipelining: true }],
  ['a key prefix with a hash tag of its own', { keyPrefix: '{app}:' }],
  ['another database', { db: 3 }],
  ['nothing sent again after a reconnect', { autoResendUnfulfilledCommands: false }],
] as const)('a client that is set up with %s makes no difference', async (_, options) => {
  const store = redisStore({ client: clients().redis(port, options), prefix: newPrefix() })
  await filled(store, 2)
  expect(await store.identify()).toMatchObject({ level: 'strong', reasons: [] })
  expect(await store.write(1, [rewrapping('n0', 'v1', 'v2')])).toEqual(['done'])
  expect(await store.read(['n0', 'none', 'n1'])).toMatchObject([{ name: 'n0' }, null, { name: 'n1' }])
  expect((await store.read(['n1']))[0]?.sealed).toEqual(new Uint8Array(92).fill(7))
  expect((await store.scan({ cursor: null, limit: 9, exceptKekId: 'v2' })).items).toHaveLength(1)
  expect((await store.readDocument('keyring'))?.revision).toBe(1)
  expect(await store.listDocuments({ prefix: 'key', cursor: null, limit: 1 })).toMatchObject({
    items: [{ key: 'keyring', value: '{}', revision: 1 }],
    next: null,
  })
})

test('a client that answers maps as objects makes no difference', async () => {
  const client = new Redis({ port, replyMapping: 'resp3' })
  try {
    const store = redisStore({ client, prefix: newPrefix() })
    await filled(store, 1)
    expect(await store.identify()).toMatchObject({ level: 'strong', reasons: [] })
  } finally {
    client.disconnect()
  }
})

test('a server that a Sentinel names is never strong', async () => {
  const client = clients().redis(port)
  // A Sentinel knows of replicas that the primary has lost sight of.
  const named = Object.create(client, {
    options: { value: { ...client.options, sentinels: [{ port: 26_379 }] } },
  })
  const store = redisStore({ client: named, prefix: newPrefix() })
  expect(await store.identify()).toMatchObject({
    level: 'advisory',
    reasons: [expect.stringContaining('a failover to a replica')],
  })
})

test('stores of two prefixes, or in two databases, do not see each other', async () => {
  const prefix = newPrefix()
  const client = clients().redis(port)
  const stores = [
    redisStore({ client, prefix }),
    redisStore({ client, prefix: `${prefix}2` }),
    redisStore({ client: clients().redis(port, { db: 1 }), prefix }),
  ]
  for (const [n, store] of stores.entries()) await filled(store, n + 1)
  for (const [n, store] of stores.entries()) expect(await store.census()).toEqual(new Map([['v1', n + 1]]))
  expect(
    new Set(await Promise.all(stores.map(async (store) => (await store.identify()).incarnation))).size,
  ).toBe(3)
})

test('a call of 1,000 changes with 20 KiB each, and reads of 100 of them, come in parts and in order', async () => {
  const store = redisStore({ client: clients().redis(port), prefix: newPrefix() })
  await filled(store, 0)
  const changes = Array.from({ length: 1_000 }, (_, n) => creating(`n${n}`, 'v1', 20_000 + n))
  expect(new Set(await store.write(1, changes))).toEqual(new Set(['done']))
  const names = Array.from({ length: 100 }, (_, n) => `n${n * 10}`)
  const secrets = await store.read(names)
  expect(secrets.map((secret) => [secret?.name, secret?.sealed.length])).toEqual(
    names.map((name, n) => [name, 20_000 + n * 10]),
  )
}, 20_000)

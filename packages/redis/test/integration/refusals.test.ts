import { openCuttingProxy } from '@talos/envelope-conformance'
import { type RedisStore, redisStore } from '@talos/envelope-redis'
import type { Redis } from 'ioredis'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { RedisServer } from '../../../../test/services/redis-server.ts'
import { service } from '../../../../test/services/service.ts'
import { creating, filled, rewrapping, until } from '../../../../test/stored-secrets.ts'
import { clients, newPrefix } from '../clients.ts'

let port = 0
beforeAll(async () => {
  port = Number(new URL(await service('redis')).port)
})

async function serverWith(settings: Readonly<Record<string, string>>): Promise<RedisServer> {
  const own = await RedisServer.start(settings)
  onTestFinished(() => own.stop())
  return own
}

function configuration(words: string) {
  return { code: 'ERR_STORE_CONFIGURATION', message: expect.stringContaining(words) }
}

function everyCall(store: RedisStore): readonly (() => Promise<unknown>)[] {
  return [
    () => store.identify(),
    () => store.read(['n0']),
    () => store.scan({ cursor: null, limit: 1 }),
    () => store.write(1, [creating('a')]),
    () => store.census(),
    () => store.readDocument('keyring'),
    () => store.writeDocument('a', 0, '{}'),
    () => store.listDocuments({ prefix: '', cursor: null, limit: 1 }),
    () => store.shards!(2),
  ]
}

/** The rules of the page on this store. */
const RULES =
  '+eval +evalsha +info +hget +hset +hmget +hdel +hlen +hexists +exists +zadd +zrem +zrange +zscore +zcard +time +cluster|myid +config|get'

describe('a server that throws keys away', () => {
  test('is refused in every call, with the line that stops it, before anything is written', async () => {
    const own = await serverWith({ 'maxmemory-policy': 'allkeys-lru' })
    const client = clients().redis(own.port)
    for (const call of everyCall(redisStore({ client }))) {
      await expect(call()).rejects.toMatchObject(configuration('CONFIG SET maxmemory-policy noeviction'))
    }
    expect(await client.dbsize()).toBe(0)
  })

  test('is noticed by a store that is in use', async () => {
    const own = await serverWith({})
    const client = clients().redis(own.port)
    const store = redisStore({ client })
    await filled(store, 1)
    await client.config('SET', 'maxmemory-policy', 'volatile-lru')
    await expect(store.census()).rejects.toMatchObject(configuration('maxmemory-policy is volatile-lru'))
    // What was said of the settings is believed for a second.
    await until(async () => (await store.write(1, [creating('a')]).catch(() => null)) === null)
    await expect(store.write(1, [creating('b')])).rejects.toMatchObject(configuration('maxmemory-policy'))
    await client.config('SET', 'maxmemory-policy', 'noeviction')
    expect(await store.write(1, [creating('b')])).toEqual(['done'])
  })

  test('makes the level advisory where the host insists', async () => {
    const own = await serverWith({ 'maxmemory-policy': 'allkeys-lru' })
    const store = redisStore({ client: clients().redis(own.port), insecureAcceptEviction: true })
    await filled(store, 1)
    expect(await store.identify()).toMatchObject({
      level: 'advisory',
      reasons: [expect.stringContaining('maxmemory-policy is allkeys-lru')],
    })
  })

  test.each(['names', 'wraps', 'metas', 'documents', 'keys', 'store'])(
    'gives no count of what is left after it has thrown away the key of the %s',
    async (key) => {
      const client = clients().redis(port)
      const prefix = newPrefix()
      const store = redisStore({ client, prefix })
      await filled(store, 5)
      await client.del(`{${prefix}}:${key}`)
      const damaged = { code: 'ERR_STORE_DAMAGED' }
      for (const call of everyCall(store).slice(1)) await expect(call()).rejects.toMatchObject(damaged)
    },
  )

  test('gives no count where a record has been taken out of one of both places by hand', async () => {
    const client = clients().redis(port)
    const prefix = newPrefix()
    const store = redisStore({ client, prefix })
    await filled(store, 600)
    await client.zrem(`{${prefix}}:names`, 'n7')
    await expect(store.census()).rejects.toMatchObject({ code: 'ERR_STORE_DAMAGED' })
    await client.zadd(`{${prefix}}:names`, 0, 'another')
    await expect(store.census()).rejects.toMatchObject({ code: 'ERR_STORE_DAMAGED' })
  })
})

test('a server whose memory is full has not written what it refuses, and still deletes and reads', async () => {
  const own = await serverWith({ maxmemory: '100mb' })
  const client = clients().redis(own.port)
  const store = redisStore({ client })
  await filled(store, 3)
  await client.config('SET', 'maxmemory', '1')
  const refused = {
    code: 'ERR_STORE_UNAVAILABLE',
    retryable: true,
    message: expect.stringContaining('memory of the server is full'),
  }
  await expect(store.write(1, [creating('a'), rewrapping('n0', 'v1', 'v2')])).rejects.toMatchObject(refused)
  await expect(store.writeDocument('a', 0, '{}')).rejects.toMatchObject(refused)
  expect(await store.census()).toEqual(new Map([['v1', 3]]))
  const gone = { kind: 'delete', name: 'n0', expectedWrap: 'talos:v2:v1:n0' } as const
  expect(await store.write(1, [gone])).toEqual(['done'])
  await client.config('SET', 'maxmemory', '0')
  expect(await store.write(1, [creating('a')])).toEqual(['done'])
  expect(await store.census()).toEqual(new Map([['v1', 3]]))
})

test('a refusal that answers the second sending of a write is not taken for the answer to the first', async () => {
  const own = await serverWith({})
  const direct = clients().redis(own.port)
  const proxy = await openCuttingProxy({ host: '127.0.0.1', port: own.port })
  onTestFinished(() => proxy.close())
  const store = redisStore({ client: clients().redis(proxy.port) })
  await filled(store, 1)
  // The first answer lets the write in, the second is its own.
  proxy.cutAnswer(2)
  const end = store.write(1, [creating('a')]).catch((error: unknown) => error)
  await until(() => proxy.cuts() === 1)
  proxy.interrupt()
  await direct.config('SET', 'maxmemory', '1')
  proxy.resume()
  expect(await end).toMatchObject({ code: 'ERR_STORE_OUTCOME_UNKNOWN', retryable: true })
  await direct.config('SET', 'maxmemory', '0')
  expect(await store.write(1, [creating('a')])).toEqual(['already'])
})

describe('keys that belong to something else', () => {
  test.each([
    [
      'another type',
      (client: Redis, prefix: string) => client.set(`{${prefix}}:store`, 'x'),
      'ERR_STORE_CONFIGURATION',
    ],
    [
      'the same type',
      (client: Redis, prefix: string) => client.hset(`{${prefix}}:wraps`, 'x', 'y'),
      'ERR_STORE_DAMAGED',
    ],
  ])('are refused and left alone: %s', async (_, take, code) => {
    const client = clients().redis(port)
    const prefix = newPrefix()
    await take(client, prefix)
    const store = redisStore({ client, prefix })
    for (const call of everyCall(store)) await expect(call()).rejects.toMatchObject({ code })
    await expect(store.write(1, [creating('a')])).rejects.toMatchObject({
      message: expect.stringContaining('another prefix'),
    })
    expect(await client.keys(`{${prefix}}:*`)).toHaveLength(1)
  })

  test('stop a write before its first change', async () => {
    const client = clients().redis(port)
    const prefix = newPrefix()
    const store = redisStore({ client, prefix })
    await filled(store, 1)
    await client.set(`{${prefix}}:sealed`, 'x')
    await expect(store.write(1, [rewrapping('n0', 'v1', 'v2'), creating('a')])).rejects.toMatchObject(
      configuration('belong to something else'),
    )
    expect(await store.census()).toEqual(new Map([['v1', 1]]))
  })
})

describe('a user', () => {
  async function user(rules: string, prefix: string): Promise<{ own: RedisServer; client: Redis }> {
    const own = await serverWith({ 'acllog-max-len': '0' })
    const admin = clients().redis(own.port)
    await admin.call('ACL', ['SETUSER', 'gateway', 'on', '>pass', `~{${prefix}}:*`, ...rules.split(' ')])
    return { own, client: clients().redis(own.port, { username: 'gateway', password: 'pass' }) }
  }

  const everything = async (store: RedisStore) => {
    await filled(store, 2)
    await store.write(1, [rewrapping('n0', 'v1', 'v2')])
    await store.write(1, [{ kind: 'delete', name: 'n1', expectedWrap: 'talos:v2:v1:n1' }])
    await store.writeDocument('a', 0, '{}')
    await store.writeDocument('a', 1, null)
    for (const call of everyCall(store)) await call()
    await store.renewIncarnation()
    const { reasons } = await store.identify()
    expect(reasons).toEqual([])
  }

  test('with the rules of the page can do everything', async () => {
    const { client } = await user(RULES, 'talos')
    await everything(redisStore({ client }))
  })

  test('that lacks one of them cannot', async () => {
    const { own } = await user(RULES, 'talos')
    const admin = clients().redis(own.port)
    // With a rule taken away that nobody gave, all of it works.
    const needed = RULES.split(' ').filter((rule) => !rule.startsWith('+cluster'))
    for (const rule of ['+acl', ...needed]) {
      await admin.call('FLUSHALL', [])
      await admin.script('FLUSH')
      await admin.call('ACL', ['SETUSER', 'gateway', 'resetkeys', '~{talos}:*', '-@all', ...RULES.split(' ')])
      await admin.call('ACL', ['SETUSER', 'gateway', rule.replace('+', '-')])
      const client = clients().redis(own.port, {
        username: 'gateway',
        password: 'pass',
        enableReadyCheck: false,
      })
      const end = await everything(redisStore({ client })).then(
        () => 'all of it worked',
        (error: Error) => error.message,
      )
      expect(end === 'all of it worked', rule).toBe(rule === '+acl')
    }
  })

  test('without a permission is told so, without what was to be written', async () => {
    const { client } = await user(RULES.replace(' +hset', ''), 'talos')
    const error = await redisStore({ client })
      .write(1, [creating('a-name')])
      .catch((refusal: Error) => refusal)
    expect(error).toMatchObject(configuration('lacks a permission'))
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('a-name')
    expect(String((error as Error).cause)).not.toContain('a-name')
  })

  test('with other keys is told so', async () => {
    const { client } = await user(RULES, 'others')
    await expect(redisStore({ client }).census()).rejects.toMatchObject(configuration('lacks a permission'))
  })

  test('with a wrong password, or none, is told so', async () => {
    const own = await serverWith({ requirepass: 'right' })
    const wrong = redisStore({ client: clients().redis(own.port, { password: 'wrong' }) })
    await expect(wrong.census()).rejects.toMatchObject(configuration('user or password'))
    const none = redisStore({ client: clients().redis(own.port, { enableReadyCheck: false }) })
    await expect(none.census()).rejects.toMatchObject(configuration('wants a password'))
  })
})

test('a node of a Cluster that is not whole is waited for', async () => {
  const own = await serverWith({ 'cluster-enabled': 'yes' })
  const client = clients().redis(own.port)
  const store = redisStore({ client })
  // The time is for the answer alone, not for connecting.
  await client.ping()
  await expect(store.census({ timeoutMs: 2_000 })).rejects.toMatchObject({
    code: 'ERR_STORE_UNAVAILABLE',
    message: expect.stringContaining('CLUSTERDOWN'),
  })
  const waiting = store.census()
  await client.cluster('ADDSLOTSRANGE', 0, 16_383)
  expect(await waiting).toEqual(new Map())
  expect((await store.identify()).reasons).toEqual([expect.stringContaining('failover of a Cluster')])
})

test('a client that was closed is told from a server that is away', async () => {
  const client = clients().redis(port)
  const store = redisStore({ client, prefix: newPrefix() })
  await filled(store, 1)
  await client.quit()
  for (const call of everyCall(store)) {
    await expect(call()).rejects.toMatchObject(configuration('the client was closed'))
  }
  const nobody = redisStore({ client: clients().redis(1, { maxRetriesPerRequest: 1 }) })
  await expect(nobody.census()).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE', retryable: true })
})

test('a client without a queue for the time that it is away is asked again', async () => {
  const client = clients().redis(port, { enableOfflineQueue: false })
  const store = redisStore({ client, prefix: newPrefix() })
  expect(client.status).not.toBe('ready')
  await filled(store, 1)
  expect(await store.census()).toEqual(new Map([['v1', 1]]))
})

test('a prefix that is no hash tag is refused, and nothing is sent before the first call', async () => {
  const client = clients().redis(port, { lazyConnect: true })
  for (const prefix of ['', 'a{b', 'a}', 'a b', 'ä', 'x'.repeat(101)]) {
    expect(() => redisStore({ client, prefix })).toThrow(TypeError)
  }
  redisStore({ client })
  expect(client.status).toBe('wait')
})

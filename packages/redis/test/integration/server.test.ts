import { redisStore } from '@talos/envelope-redis'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { RedisServer } from '../../../../test/services/redis-server.ts'
import { creating, filled, rewrapping, until } from '../../../../test/stored-secrets.ts'
import { clients, newPrefix } from '../clients.ts'

/** A server of its own, which these tests crash. */
let server: RedisServer
beforeAll(async () => {
  server = await RedisServer.start()
})
afterAll(() => server.stop())

async function serverWith(settings: Readonly<Record<string, string>>): Promise<RedisServer> {
  const own = await RedisServer.start(settings)
  onTestFinished(() => own.stop())
  return own
}

test('a crash keeps the incarnation, and everything that was acknowledged', async () => {
  const prefix = newPrefix()
  const store = redisStore({ client: clients().redis(server.port), prefix })
  await filled(store, 0)
  const before = await store.identify()
  expect(before).toMatchObject({ kind: 'redis', level: 'strong', reasons: [] })
  for (let n = 0; n < 50; n += 1) await store.write(1, [creating(`a${n}`)])
  await server.down('SIGKILL')
  await server.up()
  const reopened = redisStore({ client: clients().redis(server.port), prefix })
  expect(await reopened.identify()).toEqual(before)
  expect(await store.identify()).toEqual(before)
  expect(await store.census()).toEqual(new Map([['v1', 50]]))
  await server.down('SIGTERM')
  await server.up()
  expect(await store.identify()).toEqual(before)
})

test('a server that crashes under writes neither loses one it acknowledged nor misleads about the others', async () => {
  const store = redisStore({ client: clients().redis(server.port), prefix: newPrefix() })
  await filled(store, 0)
  const acknowledged: string[] = []
  let going = true
  const write = async (lane: number) => {
    for (let n = 0; going; n += 1) {
      const name = `${lane}-${n}`
      for (;;) {
        const end = await store.write(1, [creating(name)]).then(
          ([outcome]) => outcome,
          (error: { code: string; retryable: boolean }) => {
            expect(['ERR_STORE_UNAVAILABLE', 'ERR_STORE_OUTCOME_UNKNOWN']).toContain(error.code)
            expect(error.retryable).toBe(true)
          },
        )
        if (end === undefined) continue
        expect(['done', 'already']).toContain(end)
        acknowledged.push(name)
        break
      }
    }
  }
  const lanes = [0, 1, 2, 3].map(write)
  for (let crash = 1; crash <= 3; crash += 1) {
    const target = acknowledged.length + 50
    await until(() => acknowledged.length >= target)
    await server.down('SIGKILL')
    await server.up()
  }
  const target = acknowledged.length + 10
  await until(() => acknowledged.length >= target)
  going = false
  await Promise.all(lanes)
  expect(await store.census()).toEqual(new Map([['v1', acknowledged.length]]))
}, 30_000)

test.each([
  ['appendfsync', { appendfsync: 'everysec' }, 'appendfsync is everysec'],
  ['the append-only file', { appendonly: 'no' }, 'appendonly is no'],
  [
    'fsync while the file is rewritten',
    { 'no-appendfsync-on-rewrite': 'yes' },
    'no-appendfsync-on-rewrite is yes',
  ],
  ['a refused CONFIG', { 'rename-command': 'CONFIG ""' }, 'does not tell appendfsync'],
])(
  '%s makes the level advisory, with the reason, and a restart another incarnation',
  async (_, settings, reason) => {
    const own = await serverWith(settings)
    const store = redisStore({ client: clients().redis(own.port) })
    await filled(store, 1)
    const before = await store.identify()
    expect(before).toMatchObject({ level: 'advisory', reasons: [expect.stringContaining(reason)] })
    expect(await store.identify()).toEqual(before)
    await own.down('SIGTERM')
    await own.up()
    expect((await store.identify()).incarnation).not.toBe(before.incarnation)
  },
)

test('a failover that drops acknowledged re-wraps is told by the incarnation', async () => {
  const primary = await serverWith({})
  const replica = await serverWith({})
  const store = redisStore({ client: clients().redis(primary.port) })
  await filled(store, 3)
  const follower = clients().redis(replica.port)
  await follower.replicaof('127.0.0.1', primary.port)
  await until(async () => String(await follower.info('replication')).includes('master_link_status:up'))
  const before = await store.identify()
  expect(before).toMatchObject({ level: 'advisory', reasons: [expect.stringContaining('failover')] })
  await until(async () => (await follower.hget('{talos}:store', 'incarnation')) === before.incarnation)
  // The way between them is cut; the primary goes on.
  await follower.replicaof('127.0.0.1', 1)
  const outcomes = await store.write(
    1,
    ['n0', 'n1', 'n2'].map((name) => rewrapping(name, 'v1', 'v2')),
  )
  expect(outcomes).toEqual(['done', 'done', 'done'])
  expect(await store.census()).toEqual(new Map([['v2', 3]]))
  expect((await store.identify()).incarnation).toBe(before.incarnation)
  await primary.down('SIGKILL')
  await follower.replicaof('NO', 'ONE')
  const after = redisStore({ client: follower })
  expect(await after.census()).toEqual(new Map([['v1', 3]]))
  expect((await after.identify()).incarnation).not.toBe(before.incarnation)
  console.log('3 re-wraps were acknowledged and counted, after the failover 0 of them are there')
})

test('a primary that had a replica takes a restart for a failover', async () => {
  const primary = await serverWith({})
  const replica = await serverWith({})
  const store = redisStore({ client: clients().redis(primary.port) })
  await filled(store, 1)
  const { incarnation } = await store.identify()
  const follower = clients().redis(replica.port)
  await follower.replicaof('127.0.0.1', primary.port)
  await until(async () => (await store.identify()).level === 'advisory')
  expect((await store.identify()).incarnation, 'a replica that comes is no loss').toBe(incarnation)
  await follower.replicaof('NO', 'ONE')
  await primary.down('SIGKILL')
  await primary.up()
  expect((await store.identify()).incarnation).not.toBe(incarnation)
  await store.renewIncarnation()
  expect(await store.identify()).toMatchObject({ level: 'strong', reasons: [] })
})

test('a replica is refused in every call', async () => {
  const replica = await serverWith({ replicaof: `127.0.0.1 ${server.port}` })
  const prefix = newPrefix()
  const store = redisStore({ client: clients().redis(server.port), prefix })
  await filled(store, 1)
  const client = clients().redis(replica.port)
  await until(async () => (await client.exists(`{${prefix}}:wraps`)) === 1)
  const copy = redisStore({ client, prefix })
  const moved = redisStore({ client: clients().redis(replica.port, { readOnly: false }), prefix })
  const refused = {
    code: 'ERR_STORE_CONFIGURATION',
    message: expect.stringContaining('the server is a replica'),
  }
  for (const store of [copy, moved]) {
    for (const call of [
      () => store.identify(),
      () => store.read(['n0']),
      () => store.scan({ cursor: null, limit: 1 }),
      () => store.write(1, [creating('a')]),
      () => store.census(),
      () => store.readDocument('keyring'),
      () => store.writeDocument('keyring', 1, '{}'),
      () => store.listDocuments({ prefix: '', cursor: null, limit: 1 }),
      () => store.shards!(2),
      () => store.renewIncarnation(),
    ]) {
      await expect(call()).rejects.toMatchObject(refused)
    }
  }
})

test('a store that was used before its server became a replica notices it at the next read', async () => {
  const own = await serverWith({})
  const client = clients().redis(own.port)
  const store = redisStore({ client })
  await filled(store, 1)
  expect((await store.read(['n0']))[0]).not.toBeNull()
  await client.replicaof('127.0.0.1', server.port)
  const refused = { code: 'ERR_STORE_CONFIGURATION', message: expect.stringContaining('replica') }
  await expect(store.read(['n0'])).rejects.toMatchObject(refused)
  await expect(store.write(1, [creating('a')])).rejects.toMatchObject(refused)
})

test('scripts that the server has forgotten are sent again', async () => {
  const client = clients().redis(server.port)
  const store = redisStore({ client, prefix: newPrefix() })
  await filled(store, 1)
  for (const forget of [() => client.script('FLUSH'), () => server.down().then(() => server.up())]) {
    await forget()
    expect(await store.write(1, [rewrapping('n0', 'v1', 'v2')])).toEqual(['done'])
    expect(await store.write(1, [rewrapping('n0', 'v2', 'v1')])).toEqual(['done'])
    expect(await store.scan({ cursor: null, limit: 5 })).toMatchObject({ items: [{ name: 'n0' }] })
  }
})

test('emptied data is another incarnation', async () => {
  const own = await serverWith({})
  const client = clients().redis(own.port)
  const store = redisStore({ client })
  await filled(store, 1)
  const { incarnation } = await store.identify()
  await client.flushall()
  expect(await store.readDocument('keyring')).toBeNull()
  expect(await store.write(1, [creating('a')])).toEqual(['fenced'])
  expect((await store.identify()).incarnation).not.toBe(incarnation)
})

test('a server that is loading its data is waited for', async () => {
  const own = await serverWith({
    'key-load-delay': '-10000',
    'loading-process-events-interval-bytes': '1024',
  })
  const client = clients().redis(own.port)
  const store = redisStore({ client })
  await filled(store, 1)
  const dummies = client.pipeline()
  for (let n = 0; n < 2_000; n += 1) dummies.set(`dummy ${n}`, 'x'.repeat(100))
  await dummies.exec()
  await client.config('SET', 'key-load-delay', '0')
  await own.down()
  await own.up(false)
  // Without a look of its own at the start, the client lets the store see that the server is loading.
  const early = redisStore({ client: clients().redis(own.port, { enableReadyCheck: false }) })
  expect(await early.census()).toEqual(new Map([['v1', 1]]))
})

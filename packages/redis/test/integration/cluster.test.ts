import { redisStore } from '@talos/envelope-redis'
import { expect, onTestFinished, test } from 'vitest'
import { RedisCluster, RedisServer } from '../../../../test/services/redis-server.ts'
import { filled, rewrapping, until } from '../../../../test/stored-secrets.ts'
import { clients } from '../clients.ts'
import { SlotMover } from '../slot-mover.ts'

test('a Cluster keeps the incarnation when a slot is moved, and not when a replica takes over', async () => {
  const cluster = await RedisCluster.start()
  onTestFinished(() => cluster.stop())
  const replica = await RedisServer.start({ 'cluster-enabled': 'yes' })
  onTestFinished(() => replica.stop())
  const opened = clients()
  const ports = cluster.nodes.map((node) => node.port)
  const client = opened.cluster(ports[0]!)
  const store = redisStore({ client })
  await filled(store, 3)
  const before = await store.identify()
  expect(before).toMatchObject({
    level: 'advisory',
    reasons: expect.arrayContaining([expect.stringContaining('failover of a Cluster')]),
  })
  const mover = await SlotMover.of(opened, ports, '{talos}')
  for (let move = 0; move < 4; move += 1) {
    await mover.move()
    expect(await store.identify()).toEqual(before)
    const [from, to] = move % 2 === 0 ? (['v1', 'v2'] as const) : (['v2', 'v1'] as const)
    expect(await store.write(1, [rewrapping('n0', from, to)])).toEqual(['done'])
  }
  const owner = opened.redis(mover.port)
  const follower = opened.redis(replica.port)
  await follower.cluster('MEET', '127.0.0.1', mover.port)
  const id = String(await owner.cluster('MYID'))
  await until(async () => String(await follower.cluster('NODES')).includes(id))
  await until(async () =>
    follower.cluster('REPLICATE', id).then(
      () => true,
      () => false,
    ),
  )
  await until(async () => String(await follower.info('replication')).includes('master_link_status:up'))
  expect((await store.identify()).incarnation, 'a replica that comes is no loss').toBe(before.incarnation)
  const masters = ports.map((port) => opened.redis(port))
  const own = String(await follower.cluster('MYID'))
  // Whoever has not heard of the replica does not believe it.
  await until(async () => {
    const views = await Promise.all(masters.map(async (master) => String(await master.cluster('NODES'))))
    return views.every((view) =>
      view.split('\n').some((line) => line.startsWith(own) && line.includes(` slave ${id} `)),
    )
  })
  await until(async () => String(await follower.cluster('NODES')).split(' master ').length > 3)
  await follower.cluster('FAILOVER', 'TAKEOVER')
  await until(async () => String(await owner.info('replication')).includes('role:slave'))
  expect(await store.census()).toEqual(new Map([['v1', 3]]))
  expect((await store.identify()).incarnation).not.toBe(before.incarnation)
}, 120_000)

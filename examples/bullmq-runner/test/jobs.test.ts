import type { RotationRunner, ShardJob, ShardOutcome } from '@talos/envelope'
import { Queue } from 'bullmq'
import { expect, onTestFinished, test, vi } from 'vitest'
import { RedisServer } from '../../../test/services/redis-server.ts'
import { bullmqRunner } from '../runner.ts'

const QUEUE = 'rotation'
const WAIT = { timeout: 20_000, interval: 20 }
const ASKED = { concurrency: 1 }
const SHARDS: ShardJob[] = [0, 1].map((shard) => ({ operationId: 'one', pass: 1, shard }))

async function open(runners: number) {
  const redis = await RedisServer.start()
  onTestFinished(() => redis.stop())
  const connection = { url: redis.url }
  const queue = new Queue(QUEUE, { connection })
  onTestFinished(() => queue.close())
  const made = Array.from({ length: runners }, () => {
    const runner = bullmqRunner({ connection, queue: QUEUE, concurrency: 2 })
    onTestFinished(() => runner.stop())
    return runner
  })
  return { redis, queue, runners: made as [RotationRunner, RotationRunner] }
}

test('a shard that waits or runs is not added again, and one that is over is', async () => {
  const { queue, runners } = await open(1)
  await runners[0].enqueue(SHARDS, ASKED)
  await runners[0].enqueue(SHARDS, ASKED)
  expect(await queue.getWaitingCount()).toBe(2)
  const { promise, resolve } = Promise.withResolvers<ShardOutcome>()
  let begun = 0
  await runners[0].start(() => {
    begun += 1
    return promise
  })
  await vi.waitFor(() => expect(begun).toBe(2), WAIT)
  await runners[0].enqueue(SHARDS, ASKED)
  expect(await queue.getJobCounts('wait', 'active')).toEqual({ wait: 0, active: 2 })
  resolve({ outcome: 'done' })
  await vi.waitFor(async () => expect(await queue.getActiveCount()).toBe(0), WAIT)
  await runners[0].enqueue(SHARDS, ASKED)
  await vi.waitFor(() => expect(begun).toBe(4), WAIT)
})

test('a busy shard comes back after the time it names', async () => {
  const { runners } = await open(1)
  const at: number[] = []
  await runners[0].start(async () => {
    at.push(performance.now())
    return at.length < 3 ? { outcome: 'busy', retryAfterMs: 300 } : { outcome: 'done' }
  })
  await runners[0].enqueue(SHARDS.slice(0, 1), ASKED)
  await vi.waitFor(() => expect(at).toHaveLength(3), WAIT)
  for (const [n, time] of at.slice(1).entries()) expect(time - (at[n] ?? 0)).toBeGreaterThan(290)
})

test('a runner that stops gives back the shards in hand, and another one takes them', async () => {
  const { runners } = await open(2)
  const [leaving, staying] = runners
  let begun = 0
  await leaving.start(async (_job, options) => {
    begun += 1
    const { promise, resolve } = Promise.withResolvers<ShardOutcome>()
    options?.signal?.addEventListener('abort', () => resolve({ outcome: 'stopped' }))
    return await promise
  })
  await leaving.enqueue(SHARDS, ASKED)
  await vi.waitFor(() => expect(begun).toBe(2), WAIT)
  const again: number[] = []
  await staying.start(async ({ shard }) => {
    again.push(shard)
    return { outcome: 'done' }
  })
  await leaving.stop()
  await vi.waitFor(() => expect(again.toSorted()).toEqual([0, 1]), WAIT)
  expect(begun).toBe(2)
})

test('enqueuing while Redis is away is refused at once, and may be repeated', async () => {
  const { redis, runners } = await open(1)
  await runners[0].enqueue(SHARDS, ASKED)
  await redis.down()
  await expect(runners[0].enqueue(SHARDS, ASKED)).rejects.toMatchObject({
    code: 'ERR_STORE_OUTCOME_UNKNOWN',
    retryable: true,
  })
  await redis.up()
  await vi.waitFor(() => runners[0].enqueue(SHARDS, ASKED), WAIT)
})

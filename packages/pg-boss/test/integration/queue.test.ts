import type { ShardOutcome } from '@talos/envelope'
import { pgBossRunner } from '@talos/envelope-pg-boss'
import { expect, onTestFinished, test } from 'vitest'
import { newDatabase, startedBoss } from '../bosses.ts'

const work = async (): Promise<ShardOutcome> => ({ outcome: 'done' })

test('a queue that is not there is made, with its dead letters, also by several processes at once', async () => {
  const url = await newDatabase()
  const bosses = await Promise.all(Array.from({ length: 4 }, () => startedBoss(url)))
  const runners = bosses.map((boss) => pgBossRunner({ boss, queue: 'gateway', deadLetter: 'gateway-dead' }))
  await Promise.all(runners.map((runner) => runner.start(work)))
  onTestFinished(async () => {
    await Promise.all(runners.map((runner) => runner.stop()))
  })
  expect(await bosses[0]?.getQueue('gateway')).toMatchObject({
    policy: 'exclusive',
    heartbeatSeconds: 10,
    expireInSeconds: 82_800,
    retryLimit: 10,
    deadLetter: 'gateway-dead',
  })
  expect(await bosses[0]?.getQueue('gateway-dead')).toMatchObject({ policy: 'standard' })
})

test('a queue that is there keeps its settings', async () => {
  const boss = await startedBoss(await newDatabase())
  await boss.createQueue('mine', { policy: 'exclusive', heartbeatSeconds: 30, retryLimit: 3 })
  const runner = pgBossRunner({ boss, queue: 'mine', deadLetter: 'unused' })
  await runner.start(work)
  await runner.stop()
  expect(await boss.getQueue('mine')).toMatchObject({ heartbeatSeconds: 30, retryLimit: 3, deadLetter: null })
  expect(await boss.getQueue('unused')).toBeNull()
})

test('a queue that would take a shard twice, or leave it to a dead worker, is refused with what to do', async () => {
  const boss = await startedBoss(await newDatabase())
  await boss.createQueue('standard', { heartbeatSeconds: 10 })
  await boss.createQueue('deaf', { policy: 'exclusive' })
  const starting = (queue: string) => pgBossRunner({ boss, queue }).start(work)
  await expect(starting('standard')).rejects.toThrow(/has the policy standard.*policy: 'exclusive'/s)
  await expect(starting('deaf')).rejects.toThrow(/updateQueue\('deaf', \{ heartbeatSeconds: 10 \}\)/)
  await expect(
    pgBossRunner({ boss, queue: 'deaf' }).enqueue([{ operationId: 'one', pass: 1, shard: 0 }], {
      concurrency: 1,
    }),
  ).rejects.toBeInstanceOf(TypeError)
  await boss.updateQueue('deaf', { heartbeatSeconds: 10 })
  const runner = pgBossRunner({ boss, queue: 'deaf' })
  await runner.start(work)
  await runner.stop()
})

test('a runner serves one vault', async () => {
  const boss = await startedBoss(await newDatabase())
  const runner = pgBossRunner({ boss })
  await runner.start(work)
  await expect(runner.start(work)).rejects.toThrow(/serves one vault/)
  await runner.stop()
})

import { setTimeout as pause } from 'node:timers/promises'
import type { RotationRunner, ShardJob, ShardOutcome, ShardWork } from '@talos/envelope'
import { type PgBossRunnerOptions, pgBossRunner } from '@talos/envelope-pg-boss'
import type { PgBoss } from 'pg-boss'
import { expect, onTestFinished, test, vi } from 'vitest'
import { jobsOf, newDatabase, startedBoss } from '../bosses.ts'

const QUEUE = 'talos-rotation'
const DONE: ShardOutcome = { outcome: 'done' }
/** What the vault asks for; the runner has a setting of its own. */
const ASKED = { concurrency: 1 }
const WAIT = { timeout: 20_000, interval: 20 }

function shards(count: number, operationId = 'one'): ShardJob[] {
  return Array.from({ length: count }, (_, shard) => ({ operationId, pass: 1, shard }))
}

function runnerOf(boss: PgBoss, options: Partial<PgBossRunnerOptions> = {}): RotationRunner {
  const runner = pgBossRunner({ boss, concurrency: 2, pollingIntervalSeconds: 0.5, ...options })
  onTestFinished(() => runner.stop())
  return runner
}

/** Work that goes on until it is let go. */
function held() {
  const began: ShardJob[] = []
  const { promise, resolve } = Promise.withResolvers<ShardOutcome>()
  const work: ShardWork = async (job, options) => {
    began.push(job)
    const { promise: stopped, resolve: stop } = Promise.withResolvers<ShardOutcome>()
    options?.signal?.addEventListener('abort', () => stop({ outcome: 'stopped' }))
    return await Promise.race([promise, stopped])
  }
  return { began, work, letGo: resolve }
}

async function states(boss: PgBoss, queue = QUEUE): Promise<string[]> {
  return (await jobsOf(boss, queue)).map(({ state }) => state)
}

test('a shard that waits or runs is not put into the queue again, and one that is over is', async () => {
  const boss = await startedBoss(await newDatabase())
  const runner = runnerOf(boss)
  await runner.enqueue(shards(3), ASKED)
  await runner.enqueue(shards(4), ASKED)
  expect(await states(boss)).toEqual(['created', 'created', 'created', 'created'])

  const { began, work, letGo } = held()
  await runner.start(work)
  await vi.waitFor(() => expect(began).toHaveLength(2), WAIT)
  await runner.enqueue(shards(4), ASKED)
  expect((await states(boss)).toSorted()).toEqual(['active', 'active', 'created', 'created'])

  letGo(DONE)
  await vi.waitFor(
    async () => expect(await states(boss)).toEqual(Array.from({ length: 4 }, () => 'completed')),
    WAIT,
  )
  expect(began.map(({ shard }) => shard).toSorted()).toEqual([0, 1, 2, 3])
  await runner.enqueue(shards(1), ASKED)
  await vi.waitFor(() => expect(began).toHaveLength(5), WAIT)
})

test('of two vaults that enqueue the same shards at once each is there once', async () => {
  const url = await newDatabase()
  const bosses = await Promise.all([startedBoss(url), startedBoss(url)])
  const runners = bosses.map((boss) => runnerOf(boss))
  await Promise.all(runners.map((runner) => runner.enqueue(shards(16), ASKED)))
  expect(await states(bosses[0])).toHaveLength(16)
})

test('a busy shard comes back after the time it names, and no retry is used up', async () => {
  const boss = await startedBoss(await newDatabase())
  const runner = runnerOf(boss)
  const at: number[] = []
  await runner.enqueue(shards(1), ASKED)
  await runner.start(async () => {
    at.push(performance.now())
    return at.length < 4 ? { outcome: 'busy', retryAfterMs: 700 } : DONE
  })
  await vi.waitFor(() => expect(at).toHaveLength(4), WAIT)
  const waits = at.slice(1).map((time, n) => time - (at[n] ?? 0))
  for (const waited of waits) expect(waited).toBeGreaterThan(650)
  const jobs = await jobsOf(boss, QUEUE)
  expect(jobs.map(({ retryCount }) => retryCount)).toEqual([0, 0, 0, 0])
  console.log(
    `busy for 700 ms, asked for every 500 ms: came back after ${waits.map(Math.round).join(', ')} ms`,
  )
})

test('a runner that stops gives back the shards in hand, and another one takes them at once', async () => {
  const url = await newDatabase()
  const [here, there] = await Promise.all([startedBoss(url), startedBoss(url)])
  const [leaving, staying] = [runnerOf(here), runnerOf(there)]
  const first = held()
  await leaving.enqueue(shards(2), ASKED)
  await leaving.start(first.work)
  await vi.waitFor(() => expect(first.began).toHaveLength(2), WAIT)
  const again: ShardJob[] = []
  await staying.start(async (job) => {
    again.push(job)
    return DONE
  })
  const began = performance.now()
  await leaving.stop()
  await vi.waitFor(() => expect(again).toHaveLength(2), WAIT)
  console.log(
    `2 shards given back were taken by another process within ${Math.round(performance.now() - began)} ms`,
  )
  expect(first.began).toHaveLength(2)
  await vi.waitFor(async () => expect(new Set(await states(here))).toEqual(new Set(['completed'])), WAIT)
  // Each was begun twice, and never taken by the process that had just given it back.
  expect((await jobsOf(here, QUEUE)).map(({ retryCount }) => retryCount)).toEqual([0, 0, 0, 0])
})

test('a shard that needs longer than pg-boss leaves to a job is handed on before, without a retry', async () => {
  const boss = await startedBoss(await newDatabase())
  // A job is handed on with a tenth of it left, which has to outlast a pause of a busy machine.
  await boss.createQueue(QUEUE, { policy: 'exclusive', heartbeatSeconds: 10, expireInSeconds: 10 })
  const runner = runnerOf(boss, { concurrency: 1 })
  await runner.enqueue(shards(1), ASKED)
  await runner.start(held().work)
  await vi.waitFor(
    async () => {
      const jobs = await jobsOf(boss, QUEUE)
      const ends = jobs.map(({ state, retryCount }) => `${state} ${retryCount}`)
      expect(ends).toEqual(['completed 0', 'completed 0', 'active 0'])
    },
    { timeout: 50_000, interval: 100 },
  )
})

test('work that fails is retried, ends as a dead letter, and may be enqueued again', async () => {
  const boss = await startedBoss(await newDatabase())
  await boss.createQueue('rotation-dead')
  await boss.createQueue(QUEUE, {
    policy: 'exclusive',
    heartbeatSeconds: 10,
    retryLimit: 1,
    deadLetter: 'rotation-dead',
  })
  const runner = runnerOf(boss)
  let failures = 0
  await runner.enqueue(shards(1), ASKED)
  await runner.start(async () => {
    failures += 1
    throw new Error('no such thing')
  })
  await vi.waitFor(async () => expect(await states(boss, 'rotation-dead')).toEqual(['created']), WAIT)
  expect(failures).toBe(2)
  expect((await jobsOf(boss, 'rotation-dead'))[0]?.data).toEqual(shards(1)[0])
  await runner.enqueue(shards(1), ASKED)
  expect(await states(boss)).toHaveLength(2)
})

test('a job of somebody else in the queue is refused and never reaches the vault', async () => {
  const boss = await startedBoss(await newDatabase())
  const runner = runnerOf(boss)
  let calls = 0
  await runner.start(async () => {
    calls += 1
    return DONE
  })
  await boss.send(QUEUE, { operationId: 7 }, { retryLimit: 0 })
  await vi.waitFor(async () => expect(await states(boss)).toEqual(['failed']), WAIT)
  const [job] = await jobsOf(boss, QUEUE)
  expect(JSON.stringify(job?.output)).toContain('Give the runner a queue of its own')
  expect(calls).toBe(0)
})

test('a queue with notify does not let short shards wait half a minute for each other', async () => {
  const boss = await startedBoss(await newDatabase(), { useListenNotify: true })
  await boss.createQueue(QUEUE, { policy: 'exclusive', heartbeatSeconds: 10, notify: true })
  const runner = runnerOf(boss, { concurrency: 1 })
  let done = 0
  await runner.start(async () => {
    done += 1
    return DONE
  })
  const began = performance.now()
  await runner.enqueue(shards(5), ASKED)
  await vi.waitFor(() => expect(done).toBe(5), WAIT)
  console.log(`5 short shards on a queue with notify: ${Math.round(performance.now() - began)} ms`)
})

test('shards follow each other without a pause, however seldom an idle worker asks', async () => {
  const boss = await startedBoss(await newDatabase())
  const runner = runnerOf(boss, { concurrency: 2, pollingIntervalSeconds: 3_600 })
  let done = 0
  await runner.enqueue(shards(16), ASKED)
  await runner.start(async () => {
    done += 1
    return DONE
  })
  await vi.waitFor(() => expect(done).toBe(16), WAIT)
  await vi.waitFor(async () => expect(new Set(await states(boss))).toEqual(new Set(['completed'])), WAIT)
  await runner.enqueue(shards(16), ASKED)
  await vi.waitFor(() => expect(done).toBe(32), WAIT)
})

test('enqueuing gives up when it is told to, and says that it may be repeated', async () => {
  const boss = await startedBoss(await newDatabase())
  const slow = { getQueue: () => pause(60_000, null, { ref: false }) }
  const runner = pgBossRunner({ boss: Object.assign(Object.create(boss) as PgBoss, slow) })
  const refusal = {
    code: 'ERR_STORE_OUTCOME_UNKNOWN',
    retryable: true,
    message: expect.stringContaining('Shards may not have reached the queue "talos-rotation"') as unknown,
  }
  await expect(runner.enqueue(shards(1), { ...ASKED, timeoutMs: 50 })).rejects.toMatchObject(refusal)
  const signal = AbortSignal.abort()
  await expect(runner.enqueue(shards(1), { ...ASKED, signal })).rejects.toMatchObject(refusal)
})

test('a queue that was deleted is made again', async () => {
  const boss = await startedBoss(await newDatabase())
  const runner = runnerOf(boss)
  await runner.enqueue(shards(2), ASKED)
  await boss.deleteQueue(QUEUE)
  await expect(runner.enqueue(shards(2), ASKED)).rejects.toMatchObject({ retryable: true })
  await runner.enqueue(shards(2), ASKED)
  expect(await states(boss)).toEqual(['created', 'created'])
})

import { pgBossRunner } from '@talos/envelope-pg-boss'
import { expect, onTestFinished, test, vi } from 'vitest'
import { PostgresServer } from '../../../../test/services/postgres-server.ts'
import { npmPostgres } from '../../../../test/services/programs.ts'
import { startedBoss } from '../bosses.ts'

const WAIT = { timeout: 25_000, interval: 100 }
const ASKED = { concurrency: 1, timeoutMs: 2_000 }

test('PostgreSQL goes away and comes back: enqueuing says so meanwhile, and workers go on', async () => {
  const server = await PostgresServer.start(npmPostgres())
  onTestFinished(() => server.stop())
  const boss = await startedBoss(server.url())
  const runner = pgBossRunner({ boss, pollingIntervalSeconds: 0.5 })
  onTestFinished(() => runner.stop())
  const done = new Set<number>()
  await runner.start(async ({ shard }) => {
    done.add(shard)
    return { outcome: 'done' }
  })
  const shard = (number: number) => [{ operationId: 'one', pass: 1, shard: number }]
  await runner.enqueue(shard(0), ASKED)
  await vi.waitFor(() => expect(done).toEqual(new Set([0])), WAIT)

  await server.down()
  await expect(runner.enqueue(shard(1), ASKED)).rejects.toMatchObject({
    code: 'ERR_STORE_OUTCOME_UNKNOWN',
    retryable: true,
    message: expect.stringContaining('Shards may not have reached the queue') as unknown,
  })
  await server.up()
  await vi.waitFor(() => runner.enqueue(shard(1), ASKED), WAIT)
  await vi.waitFor(() => expect(done).toEqual(new Set([0, 1])), WAIT)
}, 60_000)

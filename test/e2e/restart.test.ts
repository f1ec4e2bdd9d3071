import { expect, test } from 'vitest'
import { until } from '../../examples/gateway/demo/checks.ts'
import { compareSecrets } from '../../examples/gateway/demo/comparison.ts'
import { generateKeks } from '../../examples/gateway/demo/keks.ts'
import { openSecrets } from '../../examples/gateway/demo/records.ts'
import { numbered, Scene } from './scene.ts'

const SECRETS = 2000
// Slow enough that there is work left when the next process is up, however long that takes.
const RATE_LIMIT = 200
const LEASE_MS = 15_000

test('SIGTERM during a rotation ends the process with 0 within 2 s and the next one goes on at once', async () => {
  const scene = await Scene.open()
  const { v1, v2 } = generateKeks('v1', 'v2')
  const first = await scene.start('first', { v1 }, 'v1')
  await scene.fill(first.operator, numbered('secret', SECRETS))
  await first.gateway.terminate()

  const second = await scene.start('second', { v1, v2 }, 'v2')
  const { op_id: operationId } = await second.operator.rotateAll(RATE_LIMIT)
  await until('the rotation is under way', 10_000, async () => {
    const { stats } = await second.operator.rotation(operationId)
    return stats.rotated > 0 ? true : undefined
  })
  const ending = await second.gateway.terminate()
  expect(ending).toMatchObject({ code: 0, signal: null })
  expect(ending.elapsedMs).toBeLessThan(2000)

  const startedAt = performance.now()
  const third = await scene.start('third', { v1, v2 }, 'v2')
  const listeningMs = performance.now() - startedAt
  const left = await third.operator.rotation(operationId)
  expect(left.status).toBe('running')
  const { stale_counts: staleCounts } = await third.operator.kekStatus()
  expect(staleCounts['v1']).toBeGreaterThan(0)
  await until('the next process goes on', LEASE_MS, async () => {
    const { stats } = await third.operator.rotation(operationId)
    return stats.rotated > left.stats.rotated ? true : undefined
  })
  const resumedMs = performance.now() - startedAt - listeningMs
  expect(resumedMs).toBeLessThan(LEASE_MS / 3)

  const completed = await until('the rotation completes', 60_000, async () => {
    const answer = await third.operator.rotation(operationId)
    return answer.status === 'running' ? undefined : answer
  })
  expect(completed).toMatchObject({ status: 'completed', stats: { failed: 0 } })
  expect((await third.operator.kekStatus()).stale_counts['v1']).toBe(0)
  expect((await third.operator.list()).every(({ key_id }) => key_id === 'v2')).toBe(true)
  const opened = await openSecrets(scene.database, { v2 }, 'v2', scene.ledger.names)
  expect(compareSecrets(scene.ledger.snapshot(), opened)).toEqual([])
  expect(opened.size).toBe(SECRETS)
  console.log(
    `SIGTERM to exit: ${Math.round(ending.elapsedMs)} ms; next process: listening after ${Math.round(listeningMs)} ms, ` +
      `re-wrapping ${Math.round(resumedMs)} ms later`,
  )
}, 120_000)

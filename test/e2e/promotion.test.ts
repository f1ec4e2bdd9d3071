import { expect, test } from 'vitest'
import { until } from '../../examples/gateway/demo/checks.ts'
import { compareSecrets } from '../../examples/gateway/demo/comparison.ts'
import { generateKeks } from '../../examples/gateway/demo/keks.ts'
import { openSecrets } from '../../examples/gateway/demo/records.ts'
import { numbered, Scene } from './scene.ts'

test('a rotation asked for while one instance lacks v2 waits for it by name and finishes by itself', async () => {
  const scene = await Scene.open()
  const { v1, v2 } = generateKeks('v1', 'v2')
  const first = await scene.start('a, v1', { v1 }, 'v1')
  const lagging = await scene.start('b, v1', { v1 }, 'v1')
  await scene.fill(first.operator, numbered('secret', 300))
  await first.gateway.terminate()
  const wishing = await scene.start('a, v2', { v1, v2 }, 'v2')

  const processName = new RegExp(`\\b${lagging.gateway.pid}\\b`)
  const waiting = await wishing.operator.kekStatus()
  expect(waiting).toMatchObject({ current_kek_id: 'v1', target_kek_id: 'v2', pending: { kek_id: 'v2' } })
  expect(waiting.pending?.waiting_for.map((instance) => instance.process)).toEqual([
    expect.stringMatching(processName),
  ])
  expect(waiting.stale_counts).toEqual({ v1: 300 })

  const begun = await wishing.operator.rotateAll()
  expect(begun.status).toBe('running')
  expect(begun.waiting_for?.map((instance) => instance.process)).toEqual([expect.stringMatching(processName)])
  await scene.fill(wishing.operator, ['written-by-a'])
  await scene.fill(lagging.operator, ['written-by-b'])
  expect((await wishing.operator.kekStatus()).stale_counts).toEqual({ v1: 302 })
  expect(await wishing.operator.rotation(begun.op_id)).toMatchObject({
    status: 'running',
    target_kek_id: 'v2',
    waiting_for: [{ process: expect.stringMatching(processName) }],
    stats: { rotated: 0 },
  })

  await lagging.gateway.terminate()
  const restartedAt = performance.now()
  const following = await scene.start('b, v2', { v1, v2 }, 'v2')
  const completed = await until('the rotation completes', 30_000, async () => {
    const answer = await following.operator.rotation(begun.op_id)
    return answer.status === 'running' ? undefined : answer
  })
  const elapsedMs = performance.now() - restartedAt
  expect(completed).toMatchObject({ status: 'completed', waiting_for: [], stats: { failed: 0 } })
  for (const { operator } of [wishing, following]) {
    expect(await operator.kekStatus()).toMatchObject({
      current_kek_id: 'v2',
      pending: null,
      stale_counts: { v1: 0 },
    })
    expect(await operator.ready()).toBe(true)
  }
  const opened = await openSecrets(scene.database, { v2 }, 'v2', scene.ledger.names)
  expect(compareSecrets(scene.ledger.snapshot(), opened)).toEqual([])
  expect(opened.size).toBe(302)
  console.log(`completed ${Math.round(elapsedMs)} ms after the last instance began to restart`)
}, 60_000)

import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { expect, test } from 'vitest'
import { numbered, Scene } from '../../../test/e2e/scene.ts'
import { service } from '../../../test/services/service.ts'
import { until } from '../demo/checks.ts'
import { compareSecrets } from '../demo/comparison.ts'
import { generateKeks } from '../demo/keks.ts'
import { openSecrets } from '../demo/records.ts'

const SECRETS = 2_000

async function newDatabase(): Promise<string> {
  const url = await service('postgres-18')
  const name = `gateway_${randomBytes(4).toString('hex')}`
  const client = new Client(url)
  await client.connect()
  await client.query(`CREATE DATABASE ${name}`)
  await client.end()
  return url.replace(/[^/]*$/, name)
}

test('two gateways on PostgreSQL promote a KEK together, and one finishes the rotation the other was killed in', async () => {
  const scene = await Scene.open(await newDatabase())
  const { v1, v2 } = generateKeks('v1', 'v2')
  // Both make the tables, and the keyring document, at once.
  const [first, second] = await Promise.all([
    scene.start('a, v1', { v1 }, 'v1'),
    scene.start('b, v1', { v1 }, 'v1'),
  ])
  await scene.fill(first.operator, numbered('secret', SECRETS))
  await first.gateway.terminate()
  const worker = await scene.start('a, v2', { v1, v2 }, 'v2')
  expect(await worker.operator.kekStatus()).toMatchObject({ current_kek_id: 'v1', pending: { kek_id: 'v2' } })
  await scene.fill(second.operator, ['written-under-v1'])
  await second.gateway.terminate()
  const other = await scene.start('b, v2', { v1, v2 }, 'v2')
  await until('v2 becomes current', 20_000, async () => {
    const status = await other.operator.kekStatus()
    return status.current_kek_id === 'v2' ? status : undefined
  })
  const begun = await worker.operator.rotateAll(1_000)
  await until('a part is re-wrapped', 20_000, async () => {
    const { stats } = await other.operator.rotation(begun.op_id)
    return stats.rotated > 200 ? stats : undefined
  })
  await worker.gateway.kill()
  await scene.fill(other.operator, numbered('secret', 20))
  const ended = await until('the other one finishes', 40_000, async () => {
    const answer = await other.operator.rotation(begun.op_id)
    return answer.status === 'running' ? undefined : answer
  })
  expect(ended).toMatchObject({ status: 'completed', stats: { failed: 0 } })
  expect(await other.operator.kekStatus()).toMatchObject({ current_kek_id: 'v2', stale_counts: { v1: 0 } })
  await other.gateway.terminate()
  const opened = await openSecrets(scene.database, { v2 }, 'v2', scene.ledger.names)
  expect(compareSecrets(scene.ledger.snapshot(), opened)).toEqual([])
  expect(opened.size).toBe(SECRETS + 1)
}, 90_000)

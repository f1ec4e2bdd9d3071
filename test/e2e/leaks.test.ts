import { expect, test } from 'vitest'
import { until } from '../../examples/gateway/demo/checks.ts'
import { GatewayProcess } from '../../examples/gateway/demo/gateway-process.ts'
import { generateKeks, kekBytes } from '../../examples/gateway/demo/keks.ts'
import { ADMIN_PATH } from '../../examples/gateway/demo/operator.ts'
import { readRecords } from '../../examples/gateway/demo/records.ts'
import { numbered, Scene } from './scene.ts'

test('no KEK, DEK or value is printed or answered, whatever goes well or wrong', async () => {
  const scene = await Scene.open()
  const { v1, v2, other } = generateKeks('v1', 'v2', 'other')
  const names = ['openai/prod', ...numbered('secret', 20)]

  const first = await scene.start('v1', { v1 }, 'v1')
  await scene.fill(first.operator, names)
  expect((await first.operator.chat()).status).toBe(200)
  const value = scene.ledger.newValue()
  const refused = [
    ['POST', ADMIN_PATH, { name: 'openai/prod', value, [value]: value }],
    ['POST', ADMIN_PATH, { name: value, value: value.repeat(4000) }],
    ['POST', ADMIN_PATH, { name: `${value}\0`, value }],
    ['POST', ADMIN_PATH, { name: 'openai/prod', value_b64u: `${value}=` }],
    ['POST', `${ADMIN_PATH}/rotate-all`, { rate_limit: value }],
    ['GET', `${ADMIN_PATH}/rotation-status/${value}`, undefined],
    ['GET', `${ADMIN_PATH}?limit=${value}`, undefined],
    ['PUT', `${ADMIN_PATH}/${value}`, { value }],
  ] as const
  for (const [method, path, body] of refused) {
    const { status } = await first.operator.send(method, path, body)
    expect(status, `${method} with a value where it does not belong`).toBeGreaterThanOrEqual(400)
  }
  await first.operator.send('GET', `${ADMIN_PATH}?cursor=${value}`)
  const stranger = scene.operator(first.gateway, value)
  expect((await stranger.send('GET', ADMIN_PATH)).status).toBe(401)
  const underV1 = await readRecords(scene.database, { v1 })
  await first.gateway.terminate()

  const second = await scene.start('v1 and v2', { v1, v2 }, 'v2')
  const { op_id: operationId } = await second.operator.rotateAll()
  await until('the rotation completes', 20_000, async () => {
    const { status } = await second.operator.rotation(operationId)
    return status === 'completed' ? true : undefined
  })
  await second.operator.list()
  await second.gateway.terminate()

  for (const [label, keks, current] of [
    ['without v2', { v1 }, 'v1'],
    ['v2 with other bytes', { v2: other }, 'v2'],
  ] as const) {
    const { gateway, operator } = await scene.start(label, keks, current)
    expect(await operator.ready(), label).toBe(false)
    expect((await operator.chat()).status, label).toBe(503)
    await operator.send('POST', ADMIN_PATH, { name: 'openai/prod', value })
    await operator.kekStatus()
    await gateway.terminate()
  }
  const misconfigured = await GatewayProcess.runToEnd({
    ...scene.options('misconfigured', { v1: v2.slice(1), v2: `${v2}=`, [v1]: v1 }, v1),
    environment: {
      TALOS_DECRYPT_ONLY_KEK_IDS: v2,
      PORT: value,
      UPSTREAM_URL: value,
      ROOT_TOKEN: `${value} `,
    },
  })
  expect(misconfigured.code).toBe(1)

  const { evidence } = scene
  for (const [id, text] of Object.entries({ v1, v2, other })) evidence.watch(`KEK ${id}`, kekBytes(text))
  evidence.watch('DEK', underV1.get('openai/prod')?.dek ?? Buffer.alloc(0))
  evidence.watch('value', Buffer.from(scene.ledger.marker))
  expect(evidence.search()).toEqual([])
  // It was collected: what is known to be there is there.
  expect(evidence.sourcesWith('listening on http')).toHaveLength(4)
  expect(evidence.sourcesWith('configuration: ')).toEqual(['output of misconfigured'])
  expect(evidence.sourcesWith('"name":"secret-00000"')).toEqual(['HTTP answers'])
}, 60_000)

import { expect, test } from 'vitest'
import { GatewayProcess } from '../../examples/gateway/demo/gateway-process.ts'
import { generateKeks } from '../../examples/gateway/demo/keks.ts'
import { Scene } from './scene.ts'

test('a gateway with a faulty configuration prints every fault at once and exits with 1', async () => {
  const scene = await Scene.open()
  const { v1 } = generateKeks('v1')
  const { code, output } = await GatewayProcess.runToEnd({
    ...scene.options('misconfigured', { v1, v2: '' }, 'v3'),
    environment: { PORT: '-1', UPSTREAM_URL: 'localhost', ROOT_TOKEN: 'short' },
  })
  expect(code).toBe(1)
  for (const variable of ['PORT', 'UPSTREAM_URL', 'ROOT_TOKEN', 'TALOS_KEK_v2', 'TALOS_CURRENT_KEK_ID']) {
    expect(output).toMatch(new RegExp(`^configuration: ${variable}\\b`, 'm'))
  }
  expect(output).not.toContain('    at ')
})

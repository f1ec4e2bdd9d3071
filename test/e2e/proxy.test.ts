import { once } from 'node:events'
import { createServer, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { generateKeks } from '../../examples/gateway/demo/keks.ts'
import { Scene } from './scene.ts'

/** Sends a request target as it is; clients that take addresses would tidy it up first. */
async function post(gatewayUrl: string, target: string): Promise<number | undefined> {
  const { hostname, port } = new URL(gatewayUrl)
  const outgoing = request({ hostname, port, path: target, method: 'POST', agent: false }).end()
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  response.resume()
  await once(response, 'end')
  return response.statusCode
}

test('the credential goes to the upstream and to the API below /v1/ only, whatever the target names', async () => {
  let strayed = 0
  const elsewhere = createServer((_incoming, outgoing) => {
    strayed += 1
    outgoing.end()
  }).listen(0, '127.0.0.1')
  await once(elsewhere, 'listening')
  onTestFinished(() => {
    elsewhere.close()
  })
  const origin = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`
  const scene = await Scene.open()
  const { v1 } = generateKeks('v1')
  const { gateway, operator } = await scene.start('gateway', { v1 }, 'v1')
  await scene.fill(operator, ['openai/prod'])

  expect(await post(gateway.url, '/v1/chat/completions?stream=true')).toBe(200)
  expect(scene.upstream.credential).toBe(scene.ledger.value('openai/prod'))
  expect(await post(gateway.url, `${origin}/v1/chat/completions`)).toBe(200)
  expect(scene.upstream.calls).toBe(2)
  for (const target of ['/v1/../admin', '/v1/%2e%2e/admin', '/v1/a/../../admin', '/v1/\\..\\..\\admin']) {
    expect(await post(gateway.url, target), target).toBe(400)
  }
  for (const target of ['/admin', `//127.0.0.1:${new URL(origin).port}/v1/chat`, '/v1']) {
    expect(await post(gateway.url, target), target).toBe(404)
  }
  expect(scene.upstream.calls).toBe(2)
  expect(strayed).toBe(0)
}, 20_000)

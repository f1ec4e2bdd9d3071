import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { generateKeks } from '../../examples/gateway/demo/keks.ts'
import { ConnectionLost } from '../../examples/gateway/demo/operator.ts'
import { Scene } from './scene.ts'

/** What the gateway causes is there each time; what a busy machine causes is not. */
const TIMES = 3

test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s ends a gateway with 0 within 2 s although its upstream never answers',
  async (signal) => {
    const silent = createServer().listen(0, '127.0.0.1')
    await once(silent, 'listening')
    onTestFinished(() => {
      silent.close()
    })
    const scene = await Scene.open()
    const upstream = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
    const { v1 } = generateKeks('v1')
    const tookMs: number[] = []
    for (let time = 0; time < TIMES; time += 1) {
      const { gateway, operator } = await scene.start('gateway', { v1 }, 'v1', { UPSTREAM_URL: upstream })
      await scene.fill(operator, ['openai/prod'])
      const called = once(silent, 'connection')
      const unanswered = expect(operator.chat()).rejects.toBeInstanceOf(ConnectionLost)
      await called

      const ending = await gateway.terminate(signal)
      expect(ending).toMatchObject({ code: 0, signal: null })
      tookMs.push(ending.elapsedMs)
      await unanswered
    }
    expect(Math.min(...tookMs)).toBeLessThan(2000)
  },
)

test('a gateway whose port is taken leaves no instance behind that others would wait for', async () => {
  const scene = await Scene.open()
  const { v1, v2 } = generateKeks('v1', 'v2')
  const first = await scene.start('first', { v1 }, 'v1')
  const port = new URL(first.gateway.url).port
  await expect(scene.start('second', { v1 }, 'v1', { PORT: port })).rejects.toThrow('EADDRINUSE')
  await first.gateway.terminate()
  const { operator } = await scene.start('third', { v1, v2 }, 'v2')
  expect(await operator.kekStatus()).toMatchObject({ current_kek_id: 'v2', pending: null })
})

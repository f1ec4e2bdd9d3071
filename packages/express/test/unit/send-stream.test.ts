import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { expect, it } from 'vitest'
import { send } from '../../src/send.ts'

/** More than a connection holds for a client that reads nothing. */
const MUCH = 'x'.repeat(30_000_000)

/** Answers the one request of a client with a stream, and gives the client. */
async function streamTo(stream: ReadableStream<string>) {
  const server = createServer((request, response) => {
    send({ request, response, lingerMs: 1_000 }, { status: 200, stream })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
  return { socket, server, [Symbol.asyncDispose]: async () => void server.close().closeAllConnections() }
}

it('a client that takes nothing is cut off when its stream gives it up', async () => {
  let giveUp = (): void => {}
  const { promise: isTaken, resolve: taken } = Promise.withResolvers<void>()
  const stream = new ReadableStream<string>({
    start(controller) {
      controller.enqueue(MUCH)
      giveUp = () => controller.error(new Error('given up'))
    },
    pull: () => taken(),
  })
  await using client = await streamTo(stream)
  client.socket.pause()
  await isTaken
  const connections = () =>
    new Promise<number>((resolve) => client.server.getConnections((_, n) => resolve(n)))
  expect(await connections()).toBe(1)
  giveUp()
  client.socket.resume()
  await once(client.socket, 'close')
  expect(client.socket.bytesRead).toBeLessThan(MUCH.length)
})

it('a stream is cancelled when its client leaves', async () => {
  const { promise: isCancelled, resolve: cancelled } = Promise.withResolvers<void>()
  const stream = new ReadableStream<string>({
    start: (controller) => controller.enqueue('data: 1\n\n'),
    cancel: () => cancelled(),
  })
  await using client = await streamTo(stream)
  await once(client.socket, 'data')
  client.socket.destroy()
  await isCancelled
})

it('a stream that ends is a whole answer', async () => {
  const stream = new ReadableStream<string>({
    start(controller) {
      controller.enqueue('data: 1\n\n')
      controller.close()
    },
  })
  await using client = await streamTo(stream)
  let text = ''
  client.socket.setEncoding('utf8').on('data', (chunk) => {
    text += chunk
    if (text.endsWith('0\r\n\r\n')) client.socket.end()
  })
  await once(client.socket, 'close')
  expect(text).toContain('data: 1\n\n')
})

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import type { AdminFetchHandler } from '../../src/index.ts'

/** The least of a host that speaks the web's `Request` and `Response`. */
export function requestListener(handler: AdminFetchHandler): RequestListener {
  return (request, response) => {
    const clientAddress = request.socket.remoteAddress ?? ''
    void handler(toRequest(request), { clientAddress }).then((answer) =>
      answer === null ? void response.writeHead(404).end('host') : send(response, answer),
    )
  }
}

function toRequest(request: IncomingMessage): Request {
  const { method = 'GET', rawHeaders } = request
  const headers = new Headers()
  for (let at = 0; at < rawHeaders.length; at += 2)
    headers.append(rawHeaders[at] ?? '', rawHeaders[at + 1] ?? '')
  const hasBody = method !== 'GET' && method !== 'HEAD'
  const body = hasBody ? (Readable.toWeb(request) as ReadableStream<Uint8Array>) : null
  return new Request(new URL(request.url ?? '/', 'http://localhost'), {
    method,
    headers,
    body,
    duplex: 'half',
  })
}

async function send(response: ServerResponse, answer: Response): Promise<void> {
  response.writeHead(answer.status, Object.fromEntries(answer.headers))
  if (answer.body === null) return void response.end()
  const reader = answer.body.getReader()
  response.on('close', () => void reader.cancel())
  response.flushHeaders()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      if (!response.write(value)) {
        const { promise, resolve } = Promise.withResolvers<void>()
        response.once('drain', resolve).once('close', resolve)
        await promise
      }
    }
    response.end()
  } catch {
    response.destroy()
  }
}

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AdminResponse } from './exchange.ts'
import { discardRest } from './node-body.ts'
import type { Problem } from './problem.ts'
import { answerOf } from './wire-answer.ts'

/** A request and where its answer goes. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Milliseconds that a client still sending has to finish after its answer. */
  readonly lingerMs: number
}

/** Sends an answer or a problem document (RFC 9457). */
export function send({ request, response, lingerMs }: Exchange, answer: AdminResponse | Problem): void {
  const { status, headers, content } = answerOf(answer)
  const isStream = content instanceof ReadableStream
  // A time-out of the host may have answered before.
  if (response.headersSent || response.destroyed) {
    if (isStream) void content.cancel()
    return
  }
  response.statusCode = status
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  if (isStream) {
    if (request.method === 'HEAD') void content.cancel().then(() => response.end())
    else void sendStream(response, content)
    return
  }
  if (request.complete || headers['Connection'] === 'close') {
    response.end(content)
    return
  }
  // The client has its whole answer now; ended is it when there is nothing left to reset the connection over.
  response.write(content)
  discardRest(request, lingerMs, () => response.end())
}

/** Sends text as fast as the client takes it; what it does not take waits in the stream, which has a bound. */
async function sendStream(response: ServerResponse, stream: ReadableStream<string>): Promise<void> {
  const reader = stream.getReader()
  const closed = new Promise<void>((resolve) => {
    response.once('close', resolve).once('error', () => resolve())
  })
  void closed.then(() => reader.cancel().catch(() => {}))
  // A client that takes nothing lets nobody read on: that its stream has given it up is learnt here.
  void reader.closed.catch(() => response.destroy())
  response.flushHeaders()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      if (response.write(value)) continue
      const { promise, resolve } = Promise.withResolvers<void>()
      response.once('drain', resolve)
      await Promise.race([promise, closed])
    }
    response.end()
  } catch {
    // See above: the stream has given its client up.
  }
}

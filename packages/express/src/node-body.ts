import type { IncomingMessage } from 'node:http'
import { type BodyLimits, ClientGone, type IncomingBody } from './json-body.ts'
import { Problem } from './problem.ts'

/** The body of a request of Node. */
export function nodeBody(request: IncomingMessage): IncomingBody {
  const { headers } = request
  const isChunked = headers['transfer-encoding'] !== undefined
  return {
    contentType: headers['content-type'],
    contentEncoding: headers['content-encoding'],
    declaredBytes: isChunked ? null : Number(headers['content-length'] ?? 0),
    alreadyParsed: () => alreadyParsed(request),
    collect: (limits) => collect(request, limits),
  }
}

function alreadyParsed(request: IncomingMessage): { readonly body: unknown } | undefined {
  // A text that somebody has decoded already shows U+FFFD where the bytes were no UTF-8.
  if (request.readableEncoding !== null) {
    throw new Error('The host set an encoding on the request before the admin router.')
  }
  return request.readableDidRead ? { body: (request as { readonly body?: unknown }).body } : undefined
}

function collect(request: IncomingMessage, { maxBytes, timeoutMs }: BodyLimits): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
  const chunks: Uint8Array[] = []
  let length = 0
  const onData = (chunk: Uint8Array) => {
    length += chunk.length
    if (length > maxBytes) return fail(new Problem('BODY_TOO_LARGE'))
    chunks.push(chunk)
  }
  const onEnd = () => {
    stop()
    resolve(Buffer.concat(chunks, length))
  }
  const onGone = () => fail(new ClientGone('The client went away in the middle of its body.'))
  const stop = () => {
    clearTimeout(timer)
    request.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone)
  }
  const fail = (error: Error) => {
    stop()
    reject(error)
  }
  const onTimeout = () => fail(new Problem('BODY_TIMEOUT', { headers: { Connection: 'close' } }))
  const timer = setTimeout(onTimeout, timeoutMs)
  timer.unref()
  request.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone)
  // A client that left before this line has no event left to send.
  if (request.destroyed && !request.complete) onGone()
  return promise
}

/**
 * Takes what is left of a body off the wire. A connection closed with bytes still on their way is reset, and a client
 * still sending then never reads its answer. One that is not done after the time-out is cut off.
 *
 * @param onDone - Called when the body has ended or the client was cut off.
 */
export function discardRest(request: IncomingMessage, timeoutMs: number, onDone: () => void): void {
  const timer = setTimeout(() => request.destroy(), timeoutMs)
  timer.unref()
  const stop = () => {
    clearTimeout(timer)
    request.off('end', stop).off('close', stop)
    onDone()
  }
  request.on('end', stop).on('close', stop)
  request.resume()
}

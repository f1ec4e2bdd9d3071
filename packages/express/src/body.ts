import type { IncomingMessage } from 'node:http'
import { Problem } from './problem.ts'
import { checkParsedJson, type JsonLimits, parseStrictJson } from './strict-json.ts'

/** What a body may take. */
export interface BodyLimits extends JsonLimits {
  /** Bytes of the whole body, as sent. */
  readonly maxBytes: number
  /** Milliseconds from the first look until the last byte. */
  readonly timeoutMs: number
}

/** The client went away while its body was being read: there is nobody to answer. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone'
}

const JSON_TYPE = /^application\/json[ \t]*(;[ \t]*charset[ \t]*=[ \t]*"?utf-8"?[ \t]*)?$/i

/**
 * Reads the JSON body of a request.
 *
 * A host that parsed the body before cannot be undone: what it left is checked as far as that goes, and `onParsed` is
 * told.
 *
 * @returns What the JSON says; `undefined` when there is no body.
 * @throws Problem when the body is refused. ClientGone when the connection ended before the body did.
 */
export async function readJsonBody(
  request: IncomingMessage,
  limits: BodyLimits,
  onParsed: () => void,
): Promise<unknown> {
  const { headers } = request
  const declaredBytes = Number(headers['content-length'] ?? 0)
  const isChunked = headers['transfer-encoding'] !== undefined
  if (!isChunked && declaredBytes === 0) return undefined
  if (headers['content-encoding'] !== undefined) {
    throw new Problem('CONTENT_ENCODED', { headers: { 'Accept-Encoding': 'identity' } })
  }
  const type = headers['content-type']
  // Some clients send the body they do not have in chunks, and then no type.
  const mayBeEmpty = isChunked && type === undefined
  if (!mayBeEmpty && !isJson(type)) throw notJson()
  if (declaredBytes > limits.maxBytes) throw new Problem('BODY_TOO_LARGE')
  // A text that somebody has decoded already shows U+FFFD where the bytes were no UTF-8.
  if (request.readableEncoding !== null) {
    throw new Error('The host set an encoding on the request before the admin router.')
  }
  if (request.readableDidRead) return parsedBody(request, limits, onParsed)
  const bytes = await collect(request, limits)
  if (bytes.length === 0) return undefined
  if (!isJson(type)) throw notJson()
  return parseStrictJson(bytes, limits)
}

function isJson(type: string | undefined): boolean {
  return type !== undefined && JSON_TYPE.test(type)
}

function notJson(): Problem {
  return new Problem('NOT_JSON', { headers: { Accept: 'application/json' } })
}

function parsedBody(request: IncomingMessage, limits: BodyLimits, onParsed: () => void): unknown {
  const { body } = request as IncomingMessage & { readonly body?: unknown }
  onParsed()
  if (body === undefined)
    throw new Error('The host read the body before the admin router and left no req.body.')
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  if (bytes instanceof Uint8Array) return parseStrictJson(bytes, limits)
  checkParsedJson(body, limits)
  return body
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

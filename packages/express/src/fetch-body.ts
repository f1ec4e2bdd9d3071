import { type BodyLimits, ClientGone, type IncomingBody } from './json-body.ts'
import { Problem } from './problem.ts'

/** The body of a request of the web, and what is left of it. */
export interface FetchBody extends IncomingBody {
  /**
   * Takes what is left of the body off the wire: a host that has ended its answer resets the connection, and a client still
   * sending then never reads it. One that is not done after the time-out is cut off.
   *
   * @returns `null` when nothing is left.
   */
  discardRest(timeoutMs: number): Promise<void> | null
}

/** The body of a request of the web. */
export function fetchBody(request: Request): FetchBody {
  const { headers } = request
  const length = headers.get('content-length')
  const declaredBytes = request.body === null ? 0 : length === null ? null : Number(length)
  let isRead = declaredBytes === 0
  return {
    contentType: headers.get('content-type') ?? undefined,
    contentEncoding: headers.get('content-encoding') ?? undefined,
    declaredBytes,
    alreadyParsed: () => {
      if (request.bodyUsed) throw new Error('The host read the body before the admin API.')
      return undefined
    },
    collect: async (limits) => {
      const bytes = await collect(request, limits)
      isRead = true
      return bytes
    },
    discardRest: (timeoutMs) => (isRead ? null : discardRest(request, timeoutMs)),
  }
}

async function collect({ body }: Request, { maxBytes, timeoutMs }: BodyLimits): Promise<Uint8Array> {
  if (body === null) return new Uint8Array()
  const reader = body.getReader()
  const timer = timerFor(timeoutMs)
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    for (;;) {
      const chunk = await Promise.race([reader.read().catch(clientGone), timer.over])
      if (chunk === 'over') throw new Problem('BODY_TIMEOUT', { headers: { Connection: 'close' } })
      if (chunk.done) return Buffer.concat(chunks, length)
      length += chunk.value.length
      if (length > maxBytes) throw new Problem('BODY_TOO_LARGE')
      chunks.push(chunk.value)
    }
  } finally {
    timer.stop()
    reader.releaseLock()
  }
}

function clientGone(): never {
  throw new ClientGone('The client went away in the middle of its body.')
}

async function discardRest({ body }: Request, timeoutMs: number): Promise<void> {
  if (body === null || body.locked) return
  const reader = body.getReader()
  const timer = timerFor(timeoutMs)
  try {
    for (;;) {
      const chunk = await Promise.race([reader.read(), timer.over])
      if (chunk === 'over') return await reader.cancel()
      if (chunk.done) return
    }
  } catch {
    // Nobody is there any more to send something.
  } finally {
    timer.stop()
  }
}

function timerFor(timeoutMs: number): { readonly over: Promise<'over'>; readonly stop: () => void } {
  const { promise, resolve } = Promise.withResolvers<'over'>()
  const timer = setTimeout(() => resolve('over'), timeoutMs)
  timer.unref()
  return { over: promise, stop: () => clearTimeout(timer) }
}

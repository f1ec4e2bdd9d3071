import { AdminApi, type AdminApiOptions, type Arrival } from './admin-api.ts'
import type { AdminResponse } from './exchange.ts'
import { fetchBody } from './fetch-body.ts'
import type { Problem } from './problem.ts'
import { answerOf } from './wire-answer.ts'

/** What a host knows of a request beside the request itself. */
export interface FetchInfo {
  /**
   * Where the request comes from: failed authentications are counted for it. A `Request` does not tell. Behind a proxy, what
   * the proxy says, and only if it can be trusted; a constant makes all clients count as one.
   */
  readonly clientAddress: string
}

/** The admin API as a function of the web's `Request`, for Hono, Fastify and whatever else speaks it. */
export interface AdminFetchHandler {
  /**
   * Answers a request.
   *
   * @returns The answer; `null` for a path that is none of the API's. Never rejects: what was not expected is answered 500,
   * and `onEvent` hears of it.
   */
  (request: Request, info: FetchInfo): Promise<Response | null>
  /** Ends the streams of events, so that a server that is closing need not wait for them. */
  close(): void
}

/** Options of `adminFetchHandler`. */
export interface AdminFetchOptions<Principal> extends AdminApiOptions<Principal, Request> {
  /**
   * The path that requests have before the API's own, such as `/admin/v1/secrets`.
   *
   * @defaultValue '': the API is at the root, and leaves paths of one segment that it does not know to the host
   */
  readonly mountPath?: string
}

/**
 * Makes the admin API of a vault a handler of web requests.
 *
 * @param options - The vault, the authentication, where it is mounted, and what differs from the defaults.
 * @throws TypeError when no authentication is given, `publicUrl` is not an http address, `store` is no store, or `mountPath`
 * does not begin with a slash.
 */
export function adminFetchHandler<Principal>(options: AdminFetchOptions<Principal>): AdminFetchHandler {
  const mountPath = (options.mountPath ?? '').replace(/\/+$/, '')
  if (mountPath !== '' && !/^\/[^?#]*$/.test(mountPath))
    throw new TypeError('adminFetchHandler: mountPath must begin with a slash')
  const api = new AdminApi(options)

  const handle = async (request: Request, info: FetchInfo): Promise<Response | null> => {
    const { pathname, search } = new URL(request.url)
    if (pathname !== mountPath && !pathname.startsWith(`${mountPath}/`)) return null
    const found = api.find(request.method, pathname.slice(mountPath.length) || '/', mountPath === '')
    if (found === null) return null
    const body = fetchBody(request)
    const answer = await api.serve({ ...arrivalOf(request, search.slice(1), info), body }, found)
    const rest = body.discardRest(api.lingerMs)
    // Nobody reads this one.
    return answer === null ? new Response(null, { status: 400 }) : responseOf(request, answer, rest)
  }
  return Object.assign(handle, { close: () => api.close() })
}

function arrivalOf(
  request: Request,
  query: string,
  info: FetchInfo | undefined,
): Omit<Arrival<Request>, 'body'> {
  const { headers } = request
  return {
    native: request,
    address: info?.clientAddress ?? 'unknown',
    hasAuthorization: headers.has('authorization'),
    method: request.method,
    query,
    header: (name) => {
      const value = headers.get(name)
      return value === null ? [] : [value]
    },
  }
}

function responseOf(request: Request, answer: AdminResponse | Problem, rest: Promise<void> | null): Response {
  const { status, headers, content } = answerOf(answer)
  const isHead = request.method === 'HEAD'
  if (content instanceof ReadableStream) {
    if (isHead) void content.cancel()
    return new Response(isHead ? null : content.pipeThrough(new TextEncoderStream()), { status, headers })
  }
  if (isHead) return new Response(null, { status, headers })
  return new Response(rest === null ? content : endingAfter(rest, content), { status, headers })
}

/** All bytes at once, and the end later: `Content-Length` tells the client that it has everything. */
function endingAfter(rest: Promise<void>, bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async start(controller) {
      controller.enqueue(bytes)
      await rest
      controller.close()
    },
  })
}

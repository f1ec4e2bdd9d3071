import type { IncomingMessage, ServerResponse } from 'node:http'
import { AdminApi, type AdminApiOptions, type Arrival } from './admin-api.ts'
import { nodeBody } from './node-body.ts'
import { Problem } from './problem.ts'
import { send } from './send.ts'
import { splitTarget } from './target.ts'

/** A router in the shape that Express 4, Express 5 and Connect take. */
export interface AdminRouter {
  (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void): void
  /** Ends the streams of events, so that a server that is closing need not wait for them. */
  close(): void
}

/** Options of `adminRouter`. */
export type AdminRouterOptions<Principal> = AdminApiOptions<Principal, IncomingMessage>

/**
 * Makes the admin API of a vault a router for Express. Mount it before `express.json()`: it reads bodies itself.
 *
 * @param options - The vault, the authentication, and what differs from the defaults.
 * @returns The router. Paths that are none of its own are passed on; an error that it did not expect goes to `next` as a
 * `Problem` with status 500 and the error as its `cause`.
 * @throws TypeError when no authentication is given, `publicUrl` is not an http address or `store` is no store.
 */
export function adminRouter<Principal>(options: AdminRouterOptions<Principal>): AdminRouter {
  const api = new AdminApi(options)
  const route = (
    request: IncomingMessage,
    response: ServerResponse,
    next: (error?: unknown) => void,
  ): void => {
    const { path, query } = splitTarget(request.url ?? '/')
    const atRoot = ((request as { readonly baseUrl?: string }).baseUrl ?? '') === ''
    const found = api.find(request.method ?? 'GET', path, atRoot)
    if (found === null) {
      next()
      return
    }
    api.serve(arrivalOf(request, query), found).then((answer) => {
      if (answer === null) return
      if (answer instanceof Problem && answer.code === 'INTERNAL') next(answer)
      else send({ request, response, lingerMs: api.lingerMs }, answer)
    }, next)
  }
  return Object.assign(route, { close: () => api.close() })
}

function arrivalOf(request: IncomingMessage, query: string): Arrival<IncomingMessage> {
  return {
    native: request,
    address: addressOf(request),
    hasAuthorization: request.headers.authorization !== undefined,
    method: request.method ?? 'GET',
    query,
    header: (name) => request.headersDistinct[name] ?? [],
    body: nodeBody(request),
  }
}

/** The address that failures are counted for: as the host's proxy settings see it, where the host is Express. */
function addressOf(request: IncomingMessage): string {
  const { ip } = request as IncomingMessage & { readonly ip?: string }
  return ip ?? request.socket.remoteAddress ?? 'unknown'
}

import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, request as httpRequest, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express5 from 'express'
import express4 from 'express4'
import { type AdminApiOptions, adminFetchHandler, adminRouter } from '../../src/index.ts'
import { requestListener } from './fetch-bridge.ts'

/** Something that Express runs for a request. */
export type Middleware = (
  request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void
/** Options that suit every host. */
export type ApiOptions = AdminApiOptions<unknown, IncomingMessage | Request>

/** A host that has mounted a router. */
export interface Mounted extends AsyncDisposable {
  /** Address of the mount, without a slash at its end. */
  readonly url: string
  /** What the host's own error handler was given. */
  readonly errors: unknown[]
}

export interface HostOptions {
  /** Whether the host mounts a body parser before the router, and which. */
  readonly parses?: 'json' | 'raw' | 'text'
  /** What else the host does with a request before the router has it. */
  readonly before?: Middleware
  /** Whether the host takes the client's address from `X-Forwarded-For`. */
  readonly trustsProxy?: boolean
}

/** A way of mounting the router. The contract holds for each of them. */
export interface Host {
  readonly title: string
  /** Whether the router sits at the root of the app, where it leaves paths of one segment to others. */
  readonly atRoot: boolean
  /** Whether the host has middleware, which may read a body before the router and hears of errors after it. */
  readonly hasMiddleware: boolean
  /** Whether the host answers paths that are not percent-encoded UTF-8 itself, with 400. */
  readonly refusesBadPaths?: true
  mount(api: ApiOptions, options?: HostOptions): Promise<Mounted>
}

export const MOUNT = '/admin/v1/secrets'

function app5(
  router: Middleware,
  path: string,
  errors: unknown[],
  { parses, before, trustsProxy }: HostOptions,
) {
  const app = express5()
  if (trustsProxy) app.set('trust proxy', true)
  if (parses !== undefined) app.use(express5[parses]({ type: () => true }))
  if (before !== undefined) app.use(before)
  app.use(path, router)
  app.use((_request: express5.Request, response: express5.Response) => void response.status(404).send('host'))
  app.use(
    (
      error: unknown,
      _request: express5.Request,
      response: express5.Response,
      _next: express5.NextFunction,
    ) => {
      errors.push(error)
      const { status = 500 } = error as { readonly status?: number }
      response.status(status).type('application/problem+json').send(JSON.stringify(error))
    },
  )
  return app
}

function app4(
  router: Middleware,
  path: string,
  errors: unknown[],
  { parses, before, trustsProxy }: HostOptions,
) {
  const app = express4()
  if (trustsProxy) app.set('trust proxy', true)
  if (parses !== undefined) app.use(express4[parses]({ type: () => true }))
  if (before !== undefined) app.use(before)
  app.use(path, router)
  app.use((_request: express4.Request, response: express4.Response) => void response.status(404).send('host'))
  app.use(
    (
      error: unknown,
      _request: express4.Request,
      response: express4.Response,
      _next: express4.NextFunction,
    ) => {
      errors.push(error)
      const { status = 500 } = error as { readonly status?: number }
      response.status(status).type('application/problem+json').send(JSON.stringify(error))
    },
  )
  return app
}

export async function listen(
  listener: RequestListener,
): Promise<{ readonly server: Server; readonly origin: string }> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { server, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

export async function close(server: Server): Promise<void> {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
}

/** Forwards everything below `from` to the same place below `to`, headers in the order and number they came in. */
function rewritingProxy(from: string, to: string): RequestListener {
  const { hostname, port, pathname } = new URL(to)
  return (request, response) => {
    const path = `${pathname}${(request.url ?? '').slice(from.length)}`
    const onward = httpRequest({
      hostname,
      port,
      path,
      method: request.method ?? 'GET',
      headers: request.rawHeaders,
      agent: false,
    })
    response.on('close', () => onward.destroy())
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
      answer.pipe(response)
    })
    // After an early answer the rest of the body has nowhere to go.
    onward.on('error', () => (response.headersSent ? request.resume() : response.writeHead(502).end()))
    request.on('error', () => onward.destroy())
    request.pipe(onward)
  }
}

function host(major: 4 | 5, place: 'the root' | 'a path' | 'a path behind a rewriting proxy'): Host {
  const path = place === 'the root' ? '/' : MOUNT
  return {
    title: `Express ${major} at ${place}`,
    atRoot: place === 'the root',
    hasMiddleware: true,
    async mount(api, options = {}) {
      const errors: unknown[] = []
      const router = adminRouter(api)
      const app = major === 5 ? app5(router, path, errors, options) : app4(router, path, errors, options)
      const { server, origin } = await listen(app)
      const direct = place === 'the root' ? origin : `${origin}${MOUNT}`
      if (place !== 'a path behind a rewriting proxy') {
        return { url: direct, errors, [Symbol.asyncDispose]: () => close(server) }
      }
      const proxy = await listen(rewritingProxy('/ops/keys', direct))
      return {
        url: `${proxy.origin}/ops/keys`,
        errors,
        [Symbol.asyncDispose]: async () => {
          await close(proxy.server)
          await close(server)
        },
      }
    },
  }
}

function fetchHost(place: 'the root' | 'a path' | 'a path behind a rewriting proxy'): Host {
  const mountPath = place === 'the root' ? '' : MOUNT
  return {
    title: `the fetch handler at ${place}`,
    atRoot: place === 'the root',
    hasMiddleware: false,
    async mount(api) {
      const handler = adminFetchHandler({ ...api, mountPath })
      const { server, origin } = await listen(requestListener(handler))
      const direct = `${origin}${mountPath}`
      const proxy =
        place === 'a path behind a rewriting proxy' ? await listen(rewritingProxy('/ops/keys', direct)) : null
      return {
        url: proxy === null ? direct : `${proxy.origin}/ops/keys`,
        errors: [],
        [Symbol.asyncDispose]: async () => {
          handler.close()
          if (proxy !== null) await close(proxy.server)
          await close(server)
        },
      }
    },
  }
}

export const HOSTS: readonly Host[] = [
  host(5, 'the root'),
  host(5, 'a path'),
  host(5, 'a path behind a rewriting proxy'),
  host(4, 'the root'),
  host(4, 'a path'),
  host(4, 'a path behind a rewriting proxy'),
  fetchHost('the root'),
  fetchHost('a path'),
  fetchHost('a path behind a rewriting proxy'),
]

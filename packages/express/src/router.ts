import type { IncomingMessage, ServerResponse } from 'node:http'
import type { SecretVault } from '@talos/envelope'
import { Admission } from './admission.ts'
import type { AdminAuth } from './auth.ts'
import { type BodyLimits, ClientGone, readJsonBody } from './body.ts'
import { type AdminEventListener, EventOutlet } from './events.ts'
import type { AdminResponse } from './exchange.ts'
import { Problem } from './problem.ts'
import { adminRoutes, allowedMethods, matchRoutes, type Route, type RouteMatch } from './routes.ts'
import { type Exchange, sendAnswer, sendProblem } from './send.ts'
import { decodeSegment, parseQuery, splitTarget } from './target.ts'
import { problemOf } from './vault-problem.ts'

/** A router in the shape that Express 4, Express 5 and Connect take. */
export type AdminRouter = (
  request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void

/** Options of `adminRouter`. */
export interface AdminRouterOptions<Principal> {
  readonly vault: SecretVault
  /** Who may do what: `bearerAuth(…)`, or the host's own `authenticate` and `authorize`. There is no default. */
  readonly auth: AdminAuth<Principal>
  /**
   * The mount as clients reach it, such as `https://ops.example/admin/v1/secrets`.
   *
   * @defaultValue absent: links are relative to the request, which stays right behind any proxy
   */
  readonly publicUrl?: string
  /**
   * Answers the two status routes to callers without a token too, with counts and states only. Older runbooks need it.
   *
   * @defaultValue false
   */
  readonly anonymousStatus?: boolean
  /** The `maxValueBytes` that the vault was opened with. @defaultValue 65_536 */
  readonly maxValueBytes?: number
  /** Milliseconds that a client has to send its body. @defaultValue 10_000 */
  readonly bodyTimeoutMs?: number
  /** Hears of failures and of the one warning. @defaultValue absent: the warning goes to `process.emitWarning` */
  readonly onEvent?: AdminEventListener
}

/** What is there for a request: a route, or only a path that takes other methods. */
interface Found {
  readonly match: RouteMatch | undefined
  /** The methods of the path, as `Allow` lists them. */
  readonly allow: string
}

const MAX_BYTES_BESIDE_VALUE = 16_384
const MAX_DEPTH = 5
/** JSON may spell each byte of a value with this many: `\u0041`. */
const LONGEST_SPELLING = 6

/**
 * Makes the admin API of a vault a router for Express. Mount it before `express.json()`: it reads bodies itself.
 *
 * @param options - The vault, the authentication, and what differs from the defaults.
 * @returns The router. Paths that are none of its own are passed on; an error that it did not expect goes to `next` as a
 * `Problem` with status 500 and the error as its `cause`.
 * @throws TypeError when no authentication is given, or `publicUrl` is not an http address.
 */
export function adminRouter<Principal>(options: AdminRouterOptions<Principal>): AdminRouter {
  const { vault, anonymousStatus = false, maxValueBytes = 65_536, bodyTimeoutMs = 10_000 } = options
  const admission = new Admission(options.auth, anonymousStatus)
  const routes = adminRoutes(vault, linksBelow(options.publicUrl))
  const events = new EventOutlet(options.onEvent)

  async function answer(request: IncomingMessage, query: string, found: Found): Promise<AdminResponse> {
    const route = found.match?.route
    const isOpen = route?.role === null
    const principal = isOpen ? null : await admission.authenticate(request, route)
    if (found.match === undefined || route === undefined) {
      throw new Problem('METHOD_NOT_ALLOWED', { headers: { Allow: found.allow } })
    }
    if (principal !== null) await admission.authorize(principal, route)
    const params = Object.entries(found.match.params).map(([name, text]) => [name, decodeSegment(text)])
    return await route.handle({
      params: Object.fromEntries(params),
      query: parseQuery(query),
      body: await readBody(request, route),
      anonymous: principal === null,
    })
  }

  async function readBody(request: IncomingMessage, route: Route): Promise<unknown> {
    if (route.body === undefined) return undefined
    const limits: BodyLimits = {
      maxBytes: MAX_BYTES_BESIDE_VALUE + (route.carriesValue ? LONGEST_SPELLING * maxValueBytes : 0),
      maxBytesBesideValue: MAX_BYTES_BESIDE_VALUE,
      maxDepth: MAX_DEPTH,
      timeoutMs: bodyTimeoutMs,
    }
    const parsed = route.body.safeParse(await readJsonBody(request, limits, () => events.warnOfParsedBody()))
    if (parsed.success) return parsed.data
    // Only members that the schema names: any other name is the client's own text.
    const members = new Set(parsed.error.issues.flatMap(({ path }) => path.slice(0, 1).map(String)))
    const errors = [...members].map((member) => ({ pointer: `#/${member}` }))
    throw new Problem('INVALID_BODY', errors.length > 0 ? { members: { errors } } : {})
  }

  /** Answers a request; what is left for the host's error handler is returned. */
  async function serve(exchange: Exchange, query: string, found: Found): Promise<Problem | null> {
    try {
      sendAnswer(exchange, await answer(exchange.request, query, found))
    } catch (error) {
      if (error instanceof ClientGone) return null
      const problem = problemOf(error)
      const { status, code } = problem
      if (status >= 500) {
        const operation = found.match?.route.operation ?? 'none'
        events.send({ type: 'request_failed', operation, status, code, error: problem.cause })
      }
      if (code === 'INTERNAL') return problem
      sendProblem(exchange, problem)
    }
    return null
  }

  return (request, response, next) => {
    const { path, query } = splitTarget(request.url ?? '/')
    const found = find(routes, request, path)
    if (found === null) return next()
    serve({ request, response, lingerMs: bodyTimeoutMs }, query, found).then((problem) => {
      if (problem !== null) next(problem)
    }, next)
  }
}

function find(routes: readonly Route[], request: IncomingMessage, path: string): Found | null {
  const matches = matchRoutes(routes, path)
  const method = request.method === 'HEAD' ? 'GET' : request.method
  const match = matches.find(({ route }) => route.method === method)
  if (match !== undefined) return { match, allow: '' }
  // At the root of an app every path of one segment could be a name: those are left to the host's own routes.
  const isAtRoot = ((request as { readonly baseUrl?: string }).baseUrl ?? '') === ''
  const own = isAtRoot ? matches.filter(({ route }) => route.path !== '/:name') : matches
  return own.length === 0 ? null : { match, allow: allowedMethods(matches) }
}

/** Makes paths below the mount links that a client can follow. */
function linksBelow(publicUrl: string | undefined): (path: string) => string {
  if (publicUrl === undefined) return (path) => path
  const url = URL.parse(publicUrl)
  if (
    url === null ||
    !/^https?:$/.test(url.protocol) ||
    url.search ||
    url.hash ||
    url.username ||
    url.password
  ) {
    throw new TypeError(
      'adminRouter: publicUrl must be an http or https address without query, fragment or user',
    )
  }
  const base = url.href.replace(/\/+$/, '')
  return (path) => `${base}/${path}`
}

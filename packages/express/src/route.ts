import type { z } from 'zod'
import type { AdminOperation, AdminRole } from './auth.ts'
import type { AdminRequest, AdminResponse } from './exchange.ts'
import type { ProblemCode } from './problem.ts'

/** What a route answers when nothing went wrong. */
export interface RouteAnswer {
  readonly status: number
  readonly description: string
  /** Of a JSON answer, under the name that the OpenAPI document gives it. */
  readonly schema?: readonly [name: string, schema: z.ZodType]
  /** Of any other answer: its media type. Absent: there is no content. */
  readonly type?: string
}

/** One row of the API. */
export interface Route<Body = unknown, Query = unknown> {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Segments that begin with a colon are parameters. */
  readonly path: string
  readonly operation: AdminOperation
  /** `null`: open to everybody. */
  readonly role: AdminRole | null
  /** One line for the OpenAPI document. */
  readonly summary: string
  /** Whether a host may open it to callers without a token, who are then told counts and states only. */
  readonly anonymous?: true
  /** Absent: no parameter means anything. */
  readonly query?: z.ZodType<Query>
  /** Absent: a body is not looked at. */
  readonly body?: z.ZodType<Body>
  /** Whether the body holds a value, which has a limit of its own. */
  readonly carriesValue?: true
  /** Whether it takes an `Idempotency-Key`. */
  readonly keyed?: true
  /** Whether it takes the epoch expected as `If-Match`. */
  readonly conditional?: true
  readonly answers: readonly RouteAnswer[]
  /** What its handler refuses and fails with, beside what every route of its kind does. */
  readonly problems: readonly ProblemCode[]
  // A method, so that routes with different bodies fit into one table.
  handle(request: AdminRequest<Body, Query>): Promise<AdminResponse>
}

/** A route whose path matches, with its parameters as they were sent. */
export interface RouteMatch {
  readonly route: Route
  readonly params: Readonly<Record<string, string>>
}

/** What is there for a request: a route, or only a path that takes other methods. */
export interface Found {
  readonly match: RouteMatch | undefined
  /** The methods of the path, as `Allow` lists them. */
  readonly allow: string
}

/**
 * Looks for what is there for a request.
 *
 * @param atRoot - Whether the API sits at the root of its host, where every path of one segment could be a name: those are
 * left to the host's own routes.
 * @returns `null` for a path that is none of the API's.
 */
export function findRoute(
  routes: readonly Route[],
  method: string,
  path: string,
  atRoot: boolean,
): Found | null {
  const matches = matchRoutes(routes, path)
  const wanted = method === 'HEAD' ? 'GET' : method
  const match = matches.find(({ route }) => route.method === wanted)
  if (match !== undefined) return { match, allow: '' }
  const own = atRoot ? matches.filter(({ route }) => route.path !== '/:name') : matches
  return own.length === 0 ? null : { match, allow: allowedMethods(matches) }
}

/** Finds every route whose path matches, in the order of the table. */
function matchRoutes(routes: readonly Route[], path: string): readonly RouteMatch[] {
  const given = path.split('/')
  return routes.flatMap((route) => {
    const params = matchSegments(route.path.split('/'), given)
    return params === null ? [] : [{ route, params }]
  })
}

function matchSegments(wanted: readonly string[], given: readonly string[]): Record<string, string> | null {
  if (wanted.length !== given.length) return null
  const params: Record<string, string> = {}
  for (const [index, segment] of wanted.entries()) {
    const text = given[index] ?? ''
    if (segment.startsWith(':') && text !== '') params[segment.slice(1)] = text
    else if (segment !== text) return null
  }
  return params
}

/** The methods of some routes as an `Allow` header lists them. */
function allowedMethods(matches: readonly RouteMatch[]): string {
  const methods = matches.map(({ route: { method } }) => method)
  return [...new Set(methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])))].join(', ')
}

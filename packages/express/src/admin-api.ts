import type { SecretStore, SecretVault } from '@talos/envelope'
import { Admission, type Applicant } from './admission.ts'
import type { AdminAuth } from './auth.ts'
import { consoleFiles } from './console-files.ts'
import { type AdminEventListener, EventOutlet } from './events.ts'
import type { AdminRequest, AdminResponse } from './exchange.ts'
import { IdempotencyKeys, type KeptAnswer } from './idempotency.ts'
import { type BodyLimits, ClientGone, type IncomingBody, readJsonBody } from './json-body.ts'
import { linksBelow } from './links.ts'
import { LiveFeed } from './live-feed.ts'
import { openApiDocument } from './openapi.ts'
import { Problem } from './problem.ts'
import { type Found, findRoute, type Route } from './route.ts'
import { adminRoutes } from './routes.ts'
import { decodeSegment, parseQuery } from './target.ts'
import { problemOf } from './vault-problem.ts'

/** Options of `adminRouter` and `adminFetchHandler`. */
export interface AdminApiOptions<Principal, Native> {
  readonly vault: SecretVault
  /** Who may do what: `bearerAuth(…)`, or the host's own `authenticate` and `authorize`. There is no default. */
  readonly auth: AdminAuth<Principal, Native>
  /**
   * The store that the vault was opened with: keeps idempotency keys, as documents beside the vault's own.
   *
   * @defaultValue absent: a request with an `Idempotency-Key` is refused
   */
  readonly store?: SecretStore
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
  /** Serves the web console at `/console`, to everybody: it holds nothing and asks for a token. @defaultValue true */
  readonly console?: boolean
  /** The most clients that follow `/events` at once. @defaultValue 20 */
  readonly maxEventStreams?: number
  /** The `maxValueBytes` that the vault was opened with. @defaultValue 65_536 */
  readonly maxValueBytes?: number
  /** Milliseconds that a client has to send its body. @defaultValue 10_000 */
  readonly bodyTimeoutMs?: number
  /** Hears of failures and of the one warning. @defaultValue absent: the warning goes to `process.emitWarning` */
  readonly onEvent?: AdminEventListener
}

/** A request as an adapter hands it over. */
export interface Arrival<Native> extends Applicant<Native> {
  readonly method: string
  /** Without its question mark. */
  readonly query: string
  /** The values of a header, one for each time it was sent, or joined as the host has done. */
  header(name: string): readonly string[]
  readonly body: IncomingBody
}

const MAX_BYTES_BESIDE_VALUE = 16_384
const MAX_DEPTH = 5
/** JSON may spell each byte of a value with this many: `\u0041`. */
const LONGEST_SPELLING = 6
const IF_MATCH = /^"(0|[1-9]\d{0,14})"$/

/** The admin API without a host: finds the route of a request and answers it. */
export class AdminApi<Principal, Native> {
  /** How long a client may take to send what is left of its body after the answer. */
  readonly lingerMs: number
  readonly #admission: Admission<Principal, Native>
  readonly #routes: readonly Route[]
  readonly #events: EventOutlet
  readonly #feed: LiveFeed
  readonly #keys: IdempotencyKeys | null
  readonly #maxValueBytes: number

  /** @throws TypeError when no authentication is given, `publicUrl` is not an http address or `store` is no store. */
  constructor(options: AdminApiOptions<Principal, Native>) {
    const { vault, store, publicUrl } = options
    if (store !== undefined && typeof store?.writeDocument !== 'function')
      throw new TypeError('adminRouter: store must be the store that the vault was opened with')
    this.lingerMs = options.bodyTimeoutMs ?? 10_000
    this.#maxValueBytes = options.maxValueBytes ?? 65_536
    this.#admission = new Admission(options.auth, options.anonymousStatus ?? false)
    this.#events = new EventOutlet(options.onEvent)
    this.#feed = new LiveFeed(vault, options.maxEventStreams ?? 20, {
      onProblem: (problem) => this.#tell(problem, 'streamEvents'),
    })
    this.#keys = store === undefined ? null : new IdempotencyKeys(store)
    this.#routes = adminRoutes({
      vault,
      linkTo: linksBelow(publicUrl),
      feed: this.#feed,
      describe: (routes) => openApiDocument(routes, publicUrl),
      ...((options.console ?? true) ? { console: consoleFiles() } : {}),
    })
  }

  /** What is there for a request; `null` for a path that is none of the API's. */
  find(method: string, path: string, atRoot: boolean): Found | null {
    return findRoute(this.#routes, method, path, atRoot)
  }

  /**
   * Answers a request.
   *
   * @returns The answer, or the problem to be answered; `null` when there is nobody left to answer. Never rejects.
   */
  async serve(arrival: Arrival<Native>, found: Found): Promise<AdminResponse | Problem | null> {
    try {
      return await this.#answer(arrival, found)
    } catch (error) {
      if (error instanceof ClientGone) return null
      const problem = problemOf(error)
      this.#tell(problem, found.match?.route.operation ?? 'none')
      return problem
    }
  }

  /** Ends every stream of events. */
  close(): void {
    this.#feed.close()
  }

  async #answer(arrival: Arrival<Native>, { match, allow }: Found): Promise<AdminResponse> {
    const route = match?.route
    const isOpen = route?.role === null
    const principal = isOpen ? null : await this.#admission.authenticate(arrival, route)
    if (match === undefined || route === undefined) {
      throw new Problem('METHOD_NOT_ALLOWED', { headers: { Allow: allow } })
    }
    if (principal !== null) await this.#admission.authorize(principal, route)
    const params = Object.entries(match.params).map(([name, text]) => [name, decodeSegment(text)])
    const actor = principal === null ? null : this.#admission.nameOf(principal)
    const request: AdminRequest = {
      params: Object.fromEntries(params),
      query: readQuery(arrival, route),
      body: await this.#readBody(arrival, route),
      expectedEpoch: route.conditional === true ? epochOf(arrival) : null,
      anonymous: principal === null,
      actor,
      mayDo: (operation) => this.#mayDo(principal, operation),
    }
    const keys = route.keyed === true ? arrival.header('idempotency-key') : []
    return keys.length === 0
      ? await route.handle(request)
      : await this.#once(keys, request, route, () => route.handle(request))
  }

  /** Answers a request with a key: as if it were the first, or as the first was. */
  async #once(
    keys: readonly string[],
    { actor, body, params, expectedEpoch }: AdminRequest,
    route: Route,
    handle: () => Promise<AdminResponse>,
  ): Promise<AdminResponse> {
    if (this.#keys === null || actor === null) throw new Problem('IDEMPOTENCY_NOT_OFFERED')
    const [key = ''] = keys
    if (keys.length > 1) throw new Problem('INVALID_IDEMPOTENCY_KEY')
    const path = route.path.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? ''))
    const condition = `${expectedEpoch}`
    const keyed = { key, principal: actor, method: route.method, path, condition, body }
    const kept = await this.#keys.run(keyed, () => this.#carryOut(handle))
    const headers = kept.replayed ? { ...kept.headers, 'Idempotent-Replayed': 'true' } : kept.headers
    return { status: kept.status, headers, body: kept.body }
  }

  /** What is kept of an answer: refusals too, for they are what the request has come to. Failures are not. */
  async #carryOut(handle: () => Promise<AdminResponse>): Promise<KeptAnswer> {
    try {
      const answer = await handle()
      if (!('body' in answer)) throw new Error('Only JSON answers can be kept.')
      return { status: answer.status, headers: answer.headers ?? {}, body: answer.body }
    } catch (error) {
      const problem = problemOf(error)
      if (problem.status >= 500) throw error
      const headers = { 'Content-Type': 'application/problem+json', ...problem.headers }
      return { status: problem.status, headers, body: problem.toJSON() }
    }
  }

  async #mayDo(principal: Principal | null, operation: string): Promise<boolean> {
    const route = this.#routes.find((row) => row.operation === operation)
    if (principal === null || route === undefined) return false
    return await this.#admission.mayDo(principal, route)
  }

  async #readBody({ body: incoming }: Arrival<Native>, route: Route): Promise<unknown> {
    if (route.body === undefined) return undefined
    const limits: BodyLimits = {
      maxBytes: MAX_BYTES_BESIDE_VALUE + (route.carriesValue ? LONGEST_SPELLING * this.#maxValueBytes : 0),
      maxBytesBesideValue: MAX_BYTES_BESIDE_VALUE,
      maxDepth: MAX_DEPTH,
      timeoutMs: this.lingerMs,
    }
    const json = await readJsonBody(incoming, limits, () => this.#events.warnOfParsedBody())
    const parsed = route.body.safeParse(json)
    if (parsed.success) return parsed.data
    // Only members that the schema names: any other name is the client's own text.
    const members = new Set(parsed.error.issues.flatMap(({ path }) => path.slice(0, 1).map(String)))
    const errors = [...members].map((member) => ({ pointer: `#/${member}` }))
    throw new Problem('INVALID_BODY', errors.length > 0 ? { members: { errors } } : {})
  }

  #tell({ status, code, cause }: Problem, operation: string): void {
    if (status < 500) return
    this.#events.send({ type: 'request_failed', operation, status, code, error: cause })
  }
}

function readQuery<Native>({ query }: Arrival<Native>, route: Route): unknown {
  const given = Object.fromEntries(parseQuery(query))
  if (route.query === undefined) return {}
  const parsed = route.query.safeParse(given)
  if (!parsed.success) throw new Problem('INVALID_QUERY')
  return parsed.data
}

function epochOf<Native>(arrival: Arrival<Native>): number | null {
  const given = arrival.header('if-match')
  if (given.length === 0) return null
  const [, digits] = IF_MATCH.exec(given.length === 1 ? (given[0] ?? '') : '') ?? []
  if (digits === undefined) throw new Problem('INVALID_IF_MATCH')
  return Number(digits)
}

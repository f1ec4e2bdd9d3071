/** A request as a handler sees it: authenticated, authorised, decoded and checked against its route's schema. */
export interface AdminRequest<Body = unknown> {
  /** Decoded path parameters by name. */
  readonly params: Readonly<Record<string, string>>
  /** Decoded query parameters by name. */
  readonly query: ReadonlyMap<string, string>
  /** The body as the route's schema gave it; `undefined` for routes without one. */
  readonly body: Body
  /** Whether the caller gave no token, on a route that answers without one: counts and states only. */
  readonly anonymous: boolean
}

/** The answer of a handler; the router adds the headers that every answer carries. */
export interface AdminResponse {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as JSON. */
  readonly body: Readonly<Record<string, unknown>>
}

/** A request as a handler sees it: authenticated, authorised, decoded and checked against its route's schemas. */
export interface AdminRequest<Body = unknown, Query = unknown> {
  /** Decoded path parameters by name. */
  readonly params: Readonly<Record<string, string>>
  /** The query as the route's schema gave it; an empty object for routes without one. */
  readonly query: Query
  /** The body as the route's schema gave it; `undefined` for routes without one. */
  readonly body: Body
  /** The epoch of `If-Match`; `null` without one. */
  readonly expectedEpoch: number | null
  /** Whether the caller gave no token, on a route that answers without one: counts and states only. */
  readonly anonymous: boolean
  /** How the audit names the caller; `null` where nobody knows. */
  readonly actor: string | null
  /** Tells whether the caller may do something else. */
  readonly mayDo: (operation: string) => Promise<boolean>
}

/** The answer of a handler; the router adds the headers that every answer carries. */
export type AdminResponse = {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
} & AdminContent

/** What an answer consists of: JSON, a file as it is, or text that goes on. */
export type AdminContent =
  | { readonly body: Readonly<Record<string, unknown>> }
  | { readonly file: Uint8Array }
  | { readonly stream: ReadableStream<string> }

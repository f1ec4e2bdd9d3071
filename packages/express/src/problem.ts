/**
 * Every problem this API answers with: status, title, detail. Codes are API: they are never renamed. Details are fixed
 * texts, so that no answer can carry a stack, a driver's words or a piece of the request.
 */
export const PROBLEMS = {
  INVALID_TARGET: [400, 'Bad Request', 'The path or the query is not percent-encoded UTF-8.'],
  INVALID_QUERY: [400, 'Bad Request', 'The query does not have the required form.'],
  INVALID_NAME: [
    400,
    'Bad Request',
    'A name has 1 to 512 bytes of UTF-8 without U+0000. "." and ".." and names with "/" are given as ?name=.',
  ],
  INVALID_CURSOR: [400, 'Bad Request', 'The cursor is not one that this listing gave.'],
  INVALID_BODY: [400, 'Bad Request', 'The body does not have the required form.'],
  MALFORMED_JSON: [400, 'Bad Request', 'The body is not JSON in UTF-8.'],
  DUPLICATE_MEMBER: [400, 'Bad Request', 'The body has two members of the same name in one object.'],
  FORBIDDEN_MEMBER: [400, 'Bad Request', 'The body has a member named "__proto__".'],
  NESTING_TOO_DEEP: [400, 'Bad Request', 'The body is nested more than 5 levels deep.'],
  INVALID_IF_MATCH: [400, 'Bad Request', 'If-Match takes one epoch in quotes, such as "7".'],
  INVALID_IDEMPOTENCY_KEY: [
    400,
    'Bad Request',
    'An Idempotency-Key is one header of 1 to 255 visible ASCII characters. Nothing was done.',
  ],
  IDEMPOTENCY_NOT_OFFERED: [
    400,
    'Bad Request',
    'This server remembers no idempotency keys for this caller. Nothing was done; send the request without one.',
  ],
  UNAUTHORIZED: [401, 'Unauthorized', 'A valid token is required, as Authorization: Bearer <token>.'],
  FORBIDDEN: [403, 'Forbidden', 'This token does not have the role that the request needs.'],
  SECRET_NOT_FOUND: [404, 'Not Found', 'There is no secret of this name.'],
  ROTATION_NOT_FOUND: [404, 'Not Found', 'There is no rotation with this id.'],
  KEK_NOT_FOUND: [404, 'Not Found', 'The keyring document knows no KEK of this id, or it was never current.'],
  AUDIT_ELSEWHERE: [404, 'Not Found', 'The audit trail goes to a sink of the host. Read it there.'],
  CONSOLE_NOT_BUILT: [404, 'Not Found', 'This installation has no console.'],
  CONSOLE_FILE_NOT_FOUND: [404, 'Not Found', 'The console has no file of this name. Load the page again.'],
  METHOD_NOT_ALLOWED: [
    405,
    'Method Not Allowed',
    'This path does not take this method; Allow lists those it takes.',
  ],
  BODY_TIMEOUT: [408, 'Request Timeout', 'The body did not arrive in time.'],
  ROTATION_ALREADY_RUNNING: [409, 'Conflict', 'A rotation is active already; op_id names it.'],
  ROTATION_STATE: [
    409,
    'Conflict',
    'The rotation is not in a state that takes this; op_status says which it is in.',
  ],
  IDEMPOTENCY_IN_FLIGHT: [
    409,
    'Conflict',
    'A request with this Idempotency-Key is being carried out. Send it again in a moment.',
  ],
  IDEMPOTENT_ANSWER_NOT_KEPT: [
    409,
    'Conflict',
    'The request with this Idempotency-Key was carried out. Its answer was too long to be kept: look at the state.',
  ],
  PROMOTION_BLOCKED: [409, 'Conflict', 'The KEK cannot become current; reasons say why.'],
  TRANSITION_REFUSED: [
    409,
    'Conflict',
    'The KEK cannot go from its state to the one asked for; reasons say why. Nothing was changed.',
  ],
  NOT_SAFE_TO_RETIRE: [
    409,
    'Conflict',
    'The KEK was not retired; reasons say what to do. GET keks/:id/retirement tells the evidence.',
  ],
  KEK_COMPROMISED: [
    409,
    'Conflict',
    'A KEK is marked compromised. Replace the credentials under it, then rotate with acknowledge_compromised.',
  ],
  KEYRING_STATE_LOST: [
    409,
    'Conflict',
    'The store holds secrets but no keyring document. Writes are refused until the document is restored.',
  ],
  KEYRING_DOCUMENT: [
    409,
    'Conflict',
    'The keyring document cannot be read by this version. Nothing was changed.',
  ],
  SECRET_CHANGED: [
    409,
    'Conflict',
    'The secret was changed by somebody else meanwhile. Nothing was written.',
  ],
  RECORD_DAMAGED: [
    409,
    'Conflict',
    'The stored record is damaged. Restore it from a backup or delete it first. Nothing was written.',
  ],
  CONTEXT_REQUIRED: [
    409,
    'Conflict',
    'The secret was stored with an encryption context, which this API does not give. Replace it by the program that ' +
      'stored it, or delete it first. Nothing was written.',
  ],
  EPOCH_CHANGED: [
    412,
    'Precondition Failed',
    'The keyring document is not at the epoch expected. Look again. Nothing was changed.',
  ],
  BODY_TOO_LARGE: [
    413,
    'Content Too Large',
    'The body has more than 16 KiB beside the value, or too long a value.',
  ],
  VALUE_TOO_LARGE: [
    413,
    'Content Too Large',
    'The value is longer than this vault takes. Nothing was written.',
  ],
  NOT_JSON: [415, 'Unsupported Media Type', 'The body must be application/json.'],
  CONTENT_ENCODED: [415, 'Unsupported Media Type', 'The body must be sent without a Content-Encoding.'],
  IDEMPOTENCY_KEY_REUSED: [
    422,
    'Unprocessable Content',
    'This Idempotency-Key came with another request. Nothing was done; take a new key.',
  ],
  TOO_MANY_FAILURES: [
    429,
    'Too Many Requests',
    'Too many requests without a valid token came from this address. A valid token is never limited.',
  ],
  INTERNAL: [500, 'Internal Server Error', 'The request failed. The server logs say why.'],
  STORE_UNAVAILABLE: [
    503,
    'Service Unavailable',
    'The store could not be reached. Nothing was written; try again.',
  ],
  STORE_OUTCOME_UNKNOWN: [
    503,
    'Service Unavailable',
    'The store did not answer. A write may have taken effect: look, or send the request again.',
  ],
  STORE_NOT_MIGRATED: [503, 'Service Unavailable', 'The store has not been migrated to this version.'],
  KEK_UNAVAILABLE: [
    503,
    'Service Unavailable',
    'This instance does not hold the KEK that is needed, or may not use it. GET kek-status names it.',
  ],
  KEY_PROVIDER_UNAVAILABLE: [
    503,
    'Service Unavailable',
    'The key provider of the KEK did not answer. Nothing was written; try again.',
  ],
  AUDIT_UNAVAILABLE: [
    503,
    'Service Unavailable',
    'The audit trail could not be written, so nothing was begun. Mend the sink, then try again.',
  ],
  IDEMPOTENCY_FULL: [
    503,
    'Service Unavailable',
    'As many idempotency keys as are kept came within a day. Nothing was done; send the request without one.',
  ],
  TOO_MANY_STREAMS: [503, 'Service Unavailable', 'As many clients as are served follow the events already.'],
  VAULT_CLOSED: [503, 'Service Unavailable', 'This instance is shutting down; try another one.'],
} as const satisfies Record<string, readonly [status: number, title: string, detail: string]>

/**
 * The stable code of a problem.
 *
 * @useDeclaredType
 */
export type ProblemCode = keyof typeof PROBLEMS

/** What a problem carries beside its code. */
export interface ProblemDetails {
  /** Members of the document beside the standard ones, also found inside its `error` member. */
  readonly members?: Readonly<Record<string, unknown>>
  readonly headers?: Readonly<Record<string, string>>
  /** What happened in truth. For logs; never part of an answer. */
  readonly cause?: unknown
}

/**
 * A refusal or failure as the client sees it (RFC 9457). Thrown inside the router; the host's error handler sees one only
 * when the failure was not expected, with `status` 500 and the original error as `cause`.
 */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly code: ProblemCode
  readonly status: number
  /** The same as `status`: error handlers read either. */
  readonly statusCode: number
  /** Error handlers that show messages only of errors marked so keep this one to themselves from 500 on. */
  readonly expose: boolean
  readonly headers: Readonly<Record<string, string>>
  readonly #members: Readonly<Record<string, unknown>>

  constructor(code: ProblemCode, details: ProblemDetails = {}) {
    const [status, , detail] = PROBLEMS[code]
    super(detail, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.status = status
    this.statusCode = status
    this.expose = status < 500
    this.headers = { 'Cache-Control': 'no-store', ...details.headers }
    this.#members = details.members ?? {}
    // Express sends the stack of an error to the client outside production.
    this.stack = `${this.name}: ${detail}`
  }

  /** The problem document, with the `error` member that older gateways read. */
  toJSON(): Record<string, unknown> {
    const [status, title, detail] = PROBLEMS[this.code]
    const members = this.#members
    const error = { code: this.code, message: detail, ...members }
    return { type: 'about:blank', title, status, detail, code: this.code, ...members, error }
  }
}

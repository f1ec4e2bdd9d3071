import { type ErrorCode, isEnvelopeError } from '@talos/envelope'
import { Problem, type ProblemCode } from './problem.ts'

/** How long a client should wait before it tries again, in seconds. */
const RETRY_AFTER_SECONDS = '2'

/**
 * What an error of the vault is to a client. What is not here is nothing a client could act on, and becomes `INTERNAL`.
 * A missing KEK is 503 and not 409: it is this instance that cannot, another one may.
 */
const PROBLEM_OF_ERROR: Partial<Record<ErrorCode, ProblemCode>> = {
  ERR_VALUE_TOO_LARGE: 'VALUE_TOO_LARGE',
  ERR_RECORD_DAMAGED: 'RECORD_DAMAGED',
  ERR_CONTEXT_CHANGED: 'CONTEXT_REQUIRED',
  ERR_KEK_NOT_LOADED: 'KEK_UNAVAILABLE',
  ERR_KEK_NOT_ALLOWED: 'KEK_UNAVAILABLE',
  ERR_KEK_MISMATCH: 'KEK_UNAVAILABLE',
  ERR_KEY_PROVIDER_UNAVAILABLE: 'KEY_PROVIDER_UNAVAILABLE',
  ERR_KEY_PROVIDER_REFUSED: 'KEK_UNAVAILABLE',
  ERR_STORE_UNAVAILABLE: 'STORE_UNAVAILABLE',
  ERR_STORE_OUTCOME_UNKNOWN: 'STORE_OUTCOME_UNKNOWN',
  ERR_STORE_NOT_MIGRATED: 'STORE_NOT_MIGRATED',
  ERR_KEYRING_STATE_LOST: 'KEYRING_STATE_LOST',
  ERR_KEYRING_DOCUMENT: 'KEYRING_DOCUMENT',
  ERR_PROMOTION_BLOCKED: 'PROMOTION_BLOCKED',
  ERR_KEK_UNKNOWN: 'KEK_NOT_FOUND',
  ERR_TRANSITION_REFUSED: 'TRANSITION_REFUSED',
  ERR_NOT_SAFE_TO_RETIRE: 'NOT_SAFE_TO_RETIRE',
  ERR_EPOCH_CHANGED: 'EPOCH_CHANGED',
  ERR_KEK_COMPROMISED: 'KEK_COMPROMISED',
  ERR_AUDIT_UNAVAILABLE: 'AUDIT_UNAVAILABLE',
  ERR_ROTATION_UNKNOWN: 'ROTATION_NOT_FOUND',
  ERR_VAULT_CLOSED: 'VAULT_CLOSED',
}
const WORTH_REPEATING: ReadonlySet<ProblemCode> = new Set([
  'STORE_UNAVAILABLE',
  'STORE_OUTCOME_UNKNOWN',
  'KEY_PROVIDER_UNAVAILABLE',
  'AUDIT_UNAVAILABLE',
  'VAULT_CLOSED',
])
/** What an operator has to put right, in words of the core: they name ids and what to do. */
const WITH_REASONS: ReadonlySet<ProblemCode> = new Set([
  'PROMOTION_BLOCKED',
  'TRANSITION_REFUSED',
  'NOT_SAFE_TO_RETIRE',
])

/** Turns whatever was thrown into a problem. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (!isEnvelopeError(error)) return new Problem('INTERNAL', { cause: error })
  const code = PROBLEM_OF_ERROR[error.code] ?? (error.retryable ? 'STORE_OUTCOME_UNKNOWN' : 'INTERNAL')
  return new Problem(code, {
    cause: error,
    ...(WORTH_REPEATING.has(code) ? { headers: { 'Retry-After': RETRY_AFTER_SECONDS } } : {}),
    ...(WITH_REASONS.has(code) ? { members: { reasons: reasonsOf(error) } } : {}),
  })
}

function reasonsOf(error: object): readonly string[] {
  return 'reasons' in error && Array.isArray(error.reasons) ? error.reasons : []
}

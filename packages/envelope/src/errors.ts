/**
 * Every code an error of this package can carry, with what it means and what to do next. Codes are API: they
 * are never renamed. `docs/reference/errors.md` is made from this table.
 */
export const ERROR_CODES = {
  ERR_DECRYPT_FAILED:
    'The envelope could not be opened. `reason` names the check that failed, for operators only.',
  ERR_ENVELOPE_MALFORMED: 'The text is not an envelope of a supported version.',
  ERR_RECORD_DAMAGED:
    'A stored record carries metadata this library did not write. Restore it from a backup.',
  ERR_VALUE_TOO_LARGE: 'The value is longer than the limit. Nothing was written.',
  ERR_VALUE_NOT_TEXT: 'The value is not well-formed UTF-8. Read it as bytes.',
  ERR_CONTEXT_TOO_LARGE: 'The encryption context does not fit into the record. Nothing was written.',
  ERR_CONTEXT_CHANGED:
    'The secret exists with other context pairs. Give the same pairs, or delete it first. Nothing was written.',
  ERR_KEY_CONFIGURATION:
    'The key source is misconfigured, or a key or passphrase given to a call is unfit. `faults` lists every fault found.',
  ERR_KEK_NOT_LOADED:
    'A KEK is needed that this instance does not hold. Add it to the key source and restart.',
  ERR_KEK_NOT_ALLOWED:
    'This KEK may only unwrap: its key source marks it decrypt-only, or a key given to `import` has the same bytes.',
  ERR_KEK_MISMATCH:
    'This instance holds other bytes under a KEK id than the ones bound to it. Correct the key source.',
  ERR_KEY_PROVIDER_UNAVAILABLE:
    'The key provider of a KEK did not answer, is overloaded or was not waited for. Nothing was written; try again.',
  ERR_KEY_PROVIDER_REFUSED:
    'The key provider does not let this process use the key: a permission is missing, or the key is disabled or gone.',
  ERR_KEY_PROVIDER_CONTRACT:
    'The key provider answered something its contract rules out. Nothing was written. Report it to its author.',
  ERR_ESCROW_MALFORMED: 'The text is no sealed KEK, or was cut or mistyped. Take another copy.',
  ERR_ESCROW_NOT_OPENED: 'The sealed KEK takes another passphrase or private key, or somebody altered it.',
  ERR_STORE_UNAVAILABLE: 'The store could not be reached. Certainly nothing was written; try again.',
  ERR_STORE_OUTCOME_UNKNOWN: 'The store did not answer. The write may have taken effect; repeat or re-read.',
  ERR_STORE_NOT_MIGRATED: 'The tables of the store are missing or of another version. Run its migration.',
  ERR_STORE_CONFIGURATION:
    'The client given to the store is not set up as it must be. The message names what to run. Nothing was written.',
  ERR_STORE_DAMAGED: 'The data of the store is damaged. Stop writers and restore it from a backup.',
  ERR_STORE_CONTRACT:
    'The store answered something its contract rules out. Report it to the author of the adapter.',
  ERR_SOURCE_FAILED:
    'A declared source did not answer or threw an error. The message names it; a retirement waits until it can be counted.',
  ERR_SOURCE_DAMAGED:
    'A declared source keeps something that is no envelope where envelopes belong. Restore, replace or clear it.',
  ERR_SOURCE_CONTRACT:
    'A declared source answered something its contract rules out. Nothing was written. Correct the source.',
  ERR_KEYRING_STATE_LOST:
    'The store holds secrets but no keyring document. Reads go on, writes are refused until it is restored.',
  ERR_KEYRING_DOCUMENT: 'The keyring document cannot be read by this version. Nothing was changed.',
  ERR_NAMESPACE_MISMATCH: 'The store belongs to another namespace. Give each namespace a store of its own.',
  ERR_PROMOTION_BLOCKED:
    'A KEK cannot become current: never, or not yet. `reasons` name what stands in the way.',
  ERR_KEK_UNKNOWN: 'The keyring document knows no KEK of that id: it was never current. Nothing was changed.',
  ERR_TRANSITION_REFUSED:
    'A KEK cannot go from its state to the one asked for. `reasons` say what stands in the way. Nothing was changed.',
  ERR_NOT_SAFE_TO_RETIRE:
    'A clause of the retirement gate does not hold. `reasons` say which and what to do. Nothing was changed.',
  ERR_EPOCH_CHANGED:
    'The keyring document is not at the epoch the caller saw. Look again. Nothing was changed.',
  ERR_KEK_COMPROMISED:
    'A KEK is marked compromised. Replace the credentials under it, then say so with `acknowledgeCompromised`.',
  ERR_ADOPTION_REFUSED:
    'The keyring state cannot be made anew from these records. `reasons` say why. Nothing was changed.',
  ERR_ROTATION_UNKNOWN: 'There is no rotation with this id, or it is not kept any more. Nothing was changed.',
  ERR_ROTATION_STATE:
    'The rotation is not in a status that takes this command. The message says which does. Nothing was changed.',
  ERR_AUDIT_UNAVAILABLE:
    'The audit trail could not be written, so the step was not begun. Nothing was changed; mend the sink, try again.',
  ERR_VAULT_CLOSED: 'The vault was closed. Open a new one.',
}

/** The stable code of an error: a key of {@link ERROR_CODES}, which says what each one means. */
export type ErrorCode = keyof typeof ERROR_CODES

const MARK = Symbol.for('@talos/envelope.error')

/** What an error carries beside its code and message. */
export interface ErrorDetails {
  /** Whether the same call may succeed later without anybody changing anything. @defaultValue false */
  readonly retryable?: boolean
  readonly cause?: unknown
}

/** The base of every error this package throws; misuse of the API is a plain `TypeError`. */
export class EnvelopeError extends Error {
  readonly code: ErrorCode
  readonly retryable: boolean

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = new.target.name
    this.code = code
    this.retryable = details.retryable ?? false
    Object.defineProperty(this, MARK, { value: true })
  }
}

/**
 * Tells whether a value is an error of this package. Works across two copies of the package in one process,
 * where `instanceof` does not.
 */
export function isEnvelopeError(value: unknown): value is EnvelopeError {
  return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[MARK] === true
}

/** The check that failed when an envelope was opened, in the order in which the checks are made. */
export type DecryptReason =
  | 'too_large'
  | 'unsupported'
  | 'malformed'
  | 'kek_unknown'
  | 'kek_not_allowed'
  | 'kek_mismatch'
  | 'wrap_corrupt'
  | 'commitment_mismatch'
  /** Of `import` only: the AAD that a Talos v1 envelope carries is not the one its key was given with. */
  | 'aad_mismatch'
  | 'payload_corrupt'

/** The checks that need no key. */
export type FormatReason = Extract<DecryptReason, 'too_large' | 'unsupported' | 'malformed'>

/** The one message for callers outside: it must not tell a wrong key from tampering. */
export const DECRYPT_MESSAGE = 'The envelope could not be opened.'

/** An envelope could not be opened or re-wrapped. */
export class DecryptError extends EnvelopeError {
  /** The check that failed, not its cause. For logs of operators; never for callers outside. */
  readonly reason: DecryptReason
  /** The KEK id the envelope names, once its grammar has been checked. */
  readonly kekId: string | null

  constructor(reason: DecryptReason, kekId: string | null = null, details: ErrorDetails = {}) {
    super('ERR_DECRYPT_FAILED', DECRYPT_MESSAGE, details)
    this.reason = reason
    this.kekId = kekId
  }
}

/** Something is not in the form it must have: a text is no envelope, a value is too long. */
export class FormatError extends EnvelopeError {
  /** For `ERR_ENVELOPE_MALFORMED` the check that failed; otherwise `null`. */
  readonly reason: FormatReason | null

  constructor(
    code: ErrorCode,
    message: string,
    details: ErrorDetails & { readonly reason?: FormatReason } = {},
  ) {
    super(code, message, details)
    this.reason = details.reason ?? null
  }
}

/** One fault of a key source. Never holds the value or a part of it. */
export interface KeyFault {
  /** The variable or file at fault. */
  readonly variable: string
  /** What is wrong and what is right, in words. */
  readonly fault: string
}

/** A KEK is missing, not allowed, not the bound one, or the key source is misconfigured. */
export class KeyError extends EnvelopeError {
  /** The KEK concerned; `null` where the fault is the key source's. */
  readonly kekId: string | null
  /** All faults of the key source, for `ERR_KEY_CONFIGURATION`; otherwise empty. */
  readonly faults: readonly KeyFault[]

  constructor(
    code: ErrorCode,
    message: string,
    details: ErrorDetails & { readonly kekId?: string; readonly faults?: readonly KeyFault[] } = {},
  ) {
    super(code, message, details)
    this.kekId = details.kekId ?? null
    this.faults = details.faults ?? []
  }
}

/** The codes of a {@link ProviderError}. */
export type ProviderErrorCode = Extract<ErrorCode, `ERR_KEY_PROVIDER_${string}`>

/**
 * A key provider could not be asked, refused this process or broke its contract. It says nothing about an envelope: none is
 * bad because of it. `ERR_KEY_PROVIDER_UNAVAILABLE` is retryable, the others are not.
 */
export class ProviderError extends EnvelopeError {
  /** The KEK concerned; `null` in what a provider throws, which does not know it. */
  readonly kekId: string | null

  constructor(
    code: ProviderErrorCode,
    message: string,
    details: { readonly cause?: unknown; readonly kekId?: string } = {},
  ) {
    super(code, message, { cause: details.cause, retryable: code === 'ERR_KEY_PROVIDER_UNAVAILABLE' })
    this.kekId = details.kekId ?? null
  }
}

/** The store could not do what it was asked, or broke its contract. */
export class StoreError extends EnvelopeError {}

/** The codes of a {@link SourceError}. */
export type SourceErrorCode = Extract<ErrorCode, `ERR_SOURCE_${string}`>

/** A declared source could not be asked, holds what is no envelope, or broke its contract. */
export class SourceError extends EnvelopeError {
  /** The name of the declared source. */
  readonly source: string

  constructor(code: SourceErrorCode, message: string, details: ErrorDetails & { readonly source: string }) {
    super(code, message, details)
    this.source = details.source
  }
}

/** The state of the keyring domain does not allow the call. */
export class LifecycleError extends EnvelopeError {
  /** Reasons in words, one for each thing that stands in the way. */
  readonly reasons: readonly string[]

  constructor(
    code: ErrorCode,
    message: string,
    details: ErrorDetails & { readonly reasons?: readonly string[] } = {},
  ) {
    super(code, message, details)
    this.reasons = details.reasons ?? []
  }
}

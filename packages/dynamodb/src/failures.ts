import type { CancellationReason } from '@aws-sdk/client-dynamodb'
import { StoreError } from '@talos/envelope'
import type { Item } from './layout.ts'

/** How the end of a request is to be taken. */
export type Failure =
  /** Refused for now, without any effect. */
  | { readonly kind: 'busy'; readonly why: string; readonly throttled: boolean }
  /** A transaction of which at least one condition did not hold: one reason for each of its actions. */
  | { readonly kind: 'cancelled'; readonly reasons: readonly CancellationReason[] }
  /** The condition of a single write did not hold. */
  | { readonly kind: 'condition'; readonly item: Item | undefined }
  /** Not answered, or with an error of the server. */
  | { readonly kind: 'lost'; readonly cause: Error }
  /** Refused for good. `invalid`: the request does not fit the table, or DynamoDB. */
  | { readonly kind: 'final'; readonly error: Error; readonly invalid?: boolean }

/** What the AWS SDK makes of an answer that is an error. */
interface ServiceError extends Error {
  readonly $fault?: string
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string }
  readonly code?: string
  readonly CancellationReasons?: readonly CancellationReason[]
  readonly Item?: Item
}

const THROTTLED = new Set([
  'ProvisionedThroughputExceededException',
  'ThrottlingException',
  'ThrottlingError',
  'ProvisionedThroughputExceeded',
  'RequestLimitExceeded',
  // Too many tables are being made at once.
  'LimitExceededException',
])
const CONFLICT = new Set([
  'TransactionConflictException',
  'TransactionConflict',
  'TransactionInProgressException',
])
/** Errors of the system that come before a connection is there. */
const NOT_CONNECTED = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
])
const CREDENTIALS = new Set([
  'CredentialsProviderError',
  'UnrecognizedClientException',
  'InvalidSignatureException',
  'IncompleteSignatureException',
  'MissingAuthenticationTokenException',
  'ExpiredTokenException',
  'InvalidAccessKeyId',
])

/** Tells whether a request that ended so has certainly had no effect. */
export function isHarmless(thrown: unknown): boolean {
  const { $fault, $metadata, code = '' } = thrown as ServiceError
  const status = $metadata?.httpStatusCode ?? 0
  return ($fault === 'client' && status >= 400 && status < 500) || NOT_CONNECTED.has(code)
}

/** Sorts out what the AWS SDK has thrown. */
export function failureOf(thrown: unknown, table: string): Failure {
  if (!(thrown instanceof Error)) {
    return { kind: 'lost', cause: new Error('the client threw something that is no error') }
  }
  const error = thrown as ServiceError
  const { name } = error
  if (name === 'TransactionCanceledException') return cancelled(error)
  if (name === 'ConditionalCheckFailedException') return { kind: 'condition', item: error.Item }
  if (THROTTLED.has(name)) return busy('DynamoDB throttles the table', true)
  if (CONFLICT.has(name)) return busy('other transactions have the same items under way', false)
  const cause = withoutData(error)
  if (name === 'TypeError') return { kind: 'final', error }
  return finalFailure(error, table, cause) ?? { kind: 'lost', cause }
}

/** The error of a table that is not there. */
export function noTable(table: string, cause?: unknown): StoreError {
  return new StoreError(
    'ERR_STORE_NOT_MIGRATED',
    `there is no table ${table}; run: await createTable({ client, table: '${table}' })`,
    { cause },
  )
}

/** The error of a table whose key is not the store's. */
export function otherKey(table: string, cause?: unknown): StoreError {
  return configuration(
    `the table ${table} has another key than pk and sk, both of type S: it belongs to something else; name another table, and let createTable({ client, table }) make it`,
    cause,
  )
}

export function configuration(message: string, cause?: unknown): StoreError {
  return new StoreError('ERR_STORE_CONFIGURATION', message, { cause })
}

function busy(why: string, throttled: boolean): Failure {
  return { kind: 'busy', why, throttled }
}

function cancelled(error: ServiceError): Failure {
  const reasons = error.CancellationReasons ?? []
  const codes = reasons.map(({ Code = 'None' }) => Code)
  if (codes.includes('ConditionalCheckFailed')) return { kind: 'cancelled', reasons }
  if (codes.some((code) => THROTTLED.has(code))) return busy('DynamoDB throttles the table', true)
  if (codes.some((code) => CONFLICT.has(code)))
    return busy('other transactions have the same items under way', false)
  const said = [...new Set(codes)].join(', ')
  const contract = contractBroken(`a transaction was cancelled (${said})`, withoutData(error))
  return { kind: 'final', error: contract, invalid: codes.includes('ValidationError') }
}

function finalFailure(error: ServiceError, table: string, cause: Error): Failure | null {
  const { name } = error
  const final = (error: StoreError): Failure => ({ kind: 'final', error })
  if (CREDENTIALS.has(name)) {
    return final(
      configuration(`DynamoDB refused the client's credentials (${name}); correct or renew them`, cause),
    )
  }
  switch (name) {
    case 'AccessDeniedException':
      return final(
        configuration(
          `the client's role lacks a privilege${actionOf(error)} on the table ${table}; give it the policy that docs/stores/dynamodb.md lists`,
          cause,
        ),
      )
    case 'ResourceNotFoundException':
    case 'TableNotFoundException':
      return final(noTable(table, cause))
    case 'ValidationException':
      return { kind: 'final', error: contractBroken('it took a request for invalid', cause), invalid: true }
    case 'UnknownOperationException':
      return final(configuration('the endpoint of the client does not know what was asked of it', cause))
  }
  if (error.$fault === 'client' && isHarmless(error))
    return final(contractBroken(`it answered ${name}`, cause))
  return null
}

function contractBroken(what: string, cause: Error): StoreError {
  return new StoreError(
    'ERR_STORE_CONTRACT',
    `DynamoDB refused what the store sent: ${what}; nothing was written. Report it with the request id of the cause`,
    { cause },
  )
}

/** The action in the message of a refusal; the rest of the message names accounts and roles. */
function actionOf({ message }: Error): string {
  const [action] = /\bdynamodb:[A-Za-z]+/.exec(message) ?? []
  return action === undefined ? '' : ` (${action})`
}

/** The same error without its message, which may quote names and values. */
function withoutData({ name, message, code, $metadata }: ServiceError): Error {
  const { httpStatusCode: status, requestId } = $metadata ?? {}
  // What a server answers may quote a request; what the system says of a connection does not.
  const said = status === undefined && code !== undefined ? `: ${message}` : ''
  const cause = new Error(`${code ?? name}${status === undefined ? '' : `, HTTP status ${status}`}${said}`)
  return Object.assign(cause, { name, code, status, requestId })
}

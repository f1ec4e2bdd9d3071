import { StoreError } from '@talos/envelope'

/** How a command that failed is to be taken. */
export type Failure =
  /** The server did not run it, and may run it soon. */
  | { readonly kind: 'again'; readonly cause: Error }
  /** The server does not know the script. */
  | { readonly kind: 'unknown script' }
  /** The server did not run it. */
  | { readonly kind: 'refused'; readonly error: StoreError }
  /** Nobody knows: the connection broke, or the client gave up. */
  | { readonly kind: 'lost'; readonly cause: Error }

/** Error codes of a server that will be able to soon. */
const SOON = new Set(['LOADING', 'BUSY', 'TRYAGAIN', 'CLUSTERDOWN', 'MASTERDOWN', 'MOVED', 'ASK'])

/** What to do about the other codes. */
const CONFIGURATION: Readonly<Record<string, string>> = {
  NOPERM: 'the user of the client lacks a permission; give it the ACL rules of the page on this store',
  NOAUTH: "the server wants a password; give the client its user's",
  WRONGPASS: 'the server refused user or password of the client; correct them',
  READONLY: 'the server is a replica; connect to the primary',
  WRONGTYPE: 'keys of this prefix belong to something else; give the store another prefix',
  CROSSSLOT: "the keys are in different slots; the client's keyPrefix must not contain {}",
}
const UNAVAILABLE: Readonly<Record<string, string>> = {
  OOM: 'the memory of the server is full; raise maxmemory or make room',
  MISCONF: 'the server takes no writes because it cannot save; see its log',
  NOREPLICAS: 'the server takes no writes because too few replicas follow it',
}

/** Codes of which the server's words name users, commands and settings, and never data. */
const PLAIN_WORDS = new Set([...Object.keys(CONFIGURATION), ...Object.keys(UNAVAILABLE), ...SOON])

/** Sorts out what a command of ioredis was rejected with. */
export function failureOf(error: unknown): Failure {
  const { name, message } =
    error instanceof Error ? error : new Error('the client threw something that is no error')
  const redirected = /^Too many Cluster redirections\. Last error: ReplyError: ([A-Z]+) /.exec(message)
  const code = redirected?.[1] ?? (name === 'ReplyError' ? (/^[A-Z]+/.exec(message)?.[0] ?? 'ERR') : null)
  // ioredis hangs the command with all it was given on its errors.
  const cause = new Error(
    code === null
      ? message
      : `Redis answered ${code}${PLAIN_WORDS.has(code) && !redirected ? message.slice(code.length).replace(/ script: .*/s, '') : ''}`,
  )
  if (code === null) return { kind: 'lost', cause }
  if (code === 'NOSCRIPT') return { kind: 'unknown script' }
  if (SOON.has(code)) return { kind: 'again', cause }
  const advice = adviceOf(code, message)
  if (advice !== undefined) {
    return {
      kind: 'refused',
      error: new StoreError('ERR_STORE_CONFIGURATION', `${advice}. Nothing was written`, { cause }),
    }
  }
  const why = UNAVAILABLE[code] ?? `Redis answered ${code}`
  return {
    kind: 'refused',
    error: new StoreError('ERR_STORE_UNAVAILABLE', `${why}; nothing was written`, { retryable: true, cause }),
  }
}

function adviceOf(code: string, message: string): string | undefined {
  if (code !== 'ERR') return CONFIGURATION[code]
  // What Redis 7.0 says of a command inside a script.
  if (message.startsWith("ERR The user executing the script can't")) return CONFIGURATION['NOPERM']
  if (
    message.includes('compiling script') ||
    message.includes('unknown flag') ||
    message.includes('shebang')
  ) {
    return 'the server is older than Redis 7.0'
  }
  if (message.startsWith('ERR unknown command')) return 'the server refuses a command that the store needs'
  return undefined
}

/** What a script may answer instead of `ok`. */
export function refusalOf(status: string, detail: string): StoreError {
  const configuration = (text: string) =>
    new StoreError('ERR_STORE_CONFIGURATION', `${text}. Nothing was written`)
  switch (status) {
    case 'replica':
      return configuration('the server is a replica; connect to the primary')
    case 'policy':
      return configuration(
        `maxmemory-policy is ${detail}, under which Redis throws secrets away when memory is full; set it to noeviction: CONFIG SET maxmemory-policy noeviction, and the same in redis.conf`,
      )
    case 'layout':
      return configuration('the keys were written by a newer version of this package; update it')
    case 'damaged':
      return new StoreError(
        'ERR_STORE_DAMAGED',
        'keys of this store are missing or do not fit together: evicted, deleted, or they belong to something else; restore them from a backup, or give the store another prefix',
      )
    default:
      return new StoreError('ERR_STORE_CONTRACT', 'a script of the store answered something unknown')
  }
}

/** The error of a write of which some changes are decided and the others may not be. */
export function partlyDecided(decided: number, all: number, cause: unknown): StoreError {
  return new StoreError(
    'ERR_STORE_OUTCOME_UNKNOWN',
    `the first ${decided} of ${all} changes were decided, the others may not be; repeat the call`,
    { retryable: true, cause },
  )
}

/** The error of a write whose answer was lost. */
export function doubtful(cause: Error): StoreError {
  return new StoreError(
    'ERR_STORE_OUTCOME_UNKNOWN',
    'the connection broke while the write ran; repeat the call or read again',
    { retryable: true, cause },
  )
}

/** The error of a call that has sent no write when the client gave up. */
export function unreachable(cause: Error): StoreError {
  return new StoreError('ERR_STORE_UNAVAILABLE', `no connection: ${cause.message}; nothing was written`, {
    retryable: true,
    cause,
  })
}

export function clientClosed(cause: Error): StoreError {
  return new StoreError('ERR_STORE_CONFIGURATION', 'the client was closed; make a store of an open one', {
    cause,
  })
}

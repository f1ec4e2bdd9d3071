import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { UNFIT_FOR_AUDIT } from './schemas/fields.ts'
import { TOKEN_CHARACTERS, TOKEN_LENGTH, tokenFault } from './token-rules.ts'

/**
 * What a caller must be allowed to do.
 *
 * - `read`: names, metadata, states, the audit trail and the live events.
 * - `write`: store and delete secrets.
 * - `rotate`: start rotations and act on them.
 * - `admin`: promote, suspend and resume KEKs.
 * - `retire`: retire a KEK for good, and look whether that is safe, which counts every record.
 */
export type AdminRole = 'read' | 'write' | 'rotate' | 'admin' | 'retire'

/** The name of a route, for hosts whose rules are finer than roles. */
export type AdminOperation =
  | 'startRotation'
  | 'readRotation'
  | 'readKekStatus'
  | 'listSecrets'
  | 'putSecret'
  | 'deleteSecret'
  | 'listRotations'
  | 'pauseRotation'
  | 'resumeRotation'
  | 'cancelRotation'
  | 'retryRotation'
  | 'promoteKek'
  | 'suspendKek'
  | 'resumeKek'
  | 'retireKek'
  | 'checkRetirement'
  | 'listInstances'
  | 'listAudit'
  | 'streamEvents'
  | 'readSession'
  | 'readOpenApi'
  | 'readHealth'
  | 'readConsole'
  | 'readConsoleFile'

/** What a request is about to do. */
export interface AdminAction {
  readonly role: AdminRole
  readonly operation: AdminOperation
}

/**
 * Who may do what: `bearerAuth` makes one, or the host brings its own. `Native` is the request as the host has it: Node's
 * `IncomingMessage` for `adminRouter`, the web's `Request` for `adminFetchHandler`.
 */
export interface AdminAuth<Principal, Native = IncomingMessage> {
  /**
   * Finds out who is asking. Must not read the body.
   *
   * @returns The principal, or `null` for nobody; the router then answers 401.
   */
  authenticate(request: Native): Principal | null | Promise<Principal | null>
  /**
   * Decides whether a principal may do something. Who follows the events is asked about every 15 s, so that the stream ends for
   * whoever has lost the role.
   *
   * @returns `true` and nothing else allows it; the router otherwise answers 403.
   */
  authorize(principal: Principal, action: AdminAction): boolean | Promise<boolean>
  /**
   * Names a principal: 1 to 256 characters that fit on one line, no two alike. The audit trail shows the name, and an
   * `Idempotency-Key` belongs to it.
   *
   * @defaultValue the principal itself where it is a text, or else its `name` where that is one; without either the audit
   * names nobody and idempotency keys are refused
   */
  nameOf?(principal: Principal): string
}

/** One token, as text or as its digest. */
export type NamedToken = {
  /** How the holder is called in the audit trail; 1 to 64 characters that fit on one line, unique. */
  readonly name: string
  /** What the holder may do. @defaultValue `['read']` */
  readonly roles?: readonly AdminRole[]
} & (
  | {
      /** 32 to 512 characters of visible ASCII. */
      readonly token: string | undefined
      readonly sha256?: never
    }
  | {
      /** SHA-256 of the token: 64 hexadecimal digits. */
      readonly sha256: string | undefined
      readonly token?: never
    }
)

/** Tokens of `bearerAuth`. */
export type BearerAuthOptions =
  | {
      /** The only token, named `root`, with every role: `retire` too. */
      readonly token: string | undefined
      readonly tokens?: never
    }
  | {
      /** At least one; no two with the same name or the same token. */
      readonly tokens: readonly NamedToken[]
      readonly token?: never
    }

/** The holder of a token. */
export interface BearerPrincipal {
  readonly name: string
  readonly roles: readonly AdminRole[]
}

interface KnownToken extends BearerPrincipal {
  readonly digest: Uint8Array
}

const ROLES: readonly AdminRole[] = ['read', 'write', 'rotate', 'admin', 'retire']
const SHA256_HEX = /^[0-9a-f]{64}$/i
const SCHEME = /^bearer +/i

/**
 * Authenticates by `Authorization: Bearer <token>` (RFC 6750) and nothing else: no query parameter, no cookie.
 *
 * @param options - One token for everything, or named tokens with roles.
 * @returns What `adminRouter` and `adminFetchHandler` take as `auth`.
 * @throws TypeError when there is no token, or one is empty, short, a placeholder or given twice. The message never quotes
 * the token.
 */
export function bearerAuth(
  options: BearerAuthOptions,
): AdminAuth<BearerPrincipal, IncomingMessage | Request> {
  const known = knownTokens(options)
  return {
    authenticate: (request) => holderOf(presentedToken(request), known),
    authorize: (principal, action) => principal.roles.includes(action.role),
    nameOf: ({ name }) => name,
  }
}

function knownTokens(options: BearerAuthOptions): readonly KnownToken[] {
  const named = options.tokens ?? [{ name: 'root', token: options.token, roles: ROLES }]
  if (named.length === 0) throw new TypeError('bearerAuth: give at least one token')
  const names = new Set<string>()
  const digests = new Set<string>()
  return named.map((entry, index) => {
    const where = options.tokens === undefined ? 'token' : `tokens[${index}]`
    const { name, roles = ['read'] } = entry
    if (typeof name !== 'string' || name.length < 1 || name.length > 64 || UNFIT_FOR_AUDIT.test(name)) {
      throw new TypeError(`bearerAuth: ${where}.name must have 1 to 64 characters that fit on one line`)
    }
    if (names.has(name)) throw new TypeError(`bearerAuth: ${where}.name is in use already`)
    if (roles.length === 0 || !roles.every((role) => ROLES.includes(role))) {
      throw new TypeError(`bearerAuth: ${where}.roles must name some of ${ROLES.join(', ')}`)
    }
    const digest = digestOf(entry, where)
    const text = digest.toString('hex')
    if (digests.has(text)) throw new TypeError(`bearerAuth: ${where} is the same token as another one`)
    names.add(name)
    digests.add(text)
    return { name, roles: [...roles], digest }
  })
}

function digestOf({ token, sha256 }: NamedToken, where: string): Buffer {
  if ((token === undefined) === (sha256 === undefined)) {
    throw new TypeError(`bearerAuth: ${where} is not set; give the token or its sha256`)
  }
  if (sha256 !== undefined) {
    if (typeof sha256 !== 'string' || !SHA256_HEX.test(sha256)) {
      throw new TypeError(`bearerAuth: ${where}.sha256 must be 64 hexadecimal digits`)
    }
    const digest = Buffer.from(sha256, 'hex')
    if (digest.equals(digestOfText('')) || new Set(sha256.toLowerCase()).size < 6) {
      throw new TypeError(`bearerAuth: ${where}.sha256 is not the digest of a secret`)
    }
    return digest
  }
  const fault = typeof token === 'string' ? tokenFault(token) : 'is not a text'
  if (fault !== null) {
    throw new TypeError(
      `bearerAuth: ${where} ${fault}. Make one with: node -p "crypto.randomBytes(32).toString('base64url')"`,
    )
  }
  return digestOfText(token as string)
}

function digestOfText(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** The token of the one Authorization header; `null` for none, a second one, another scheme or other characters. */
function presentedToken(request: IncomingMessage | Request): string | null {
  const header = authorizationOf(request)
  if (header === undefined || !SCHEME.test(header)) return null
  const token = header.replace(SCHEME, '')
  return token.length <= TOKEN_LENGTH.most && TOKEN_CHARACTERS.test(token) ? token : null
}

function authorizationOf(request: IncomingMessage | Request): string | undefined {
  // The web's Headers join several with a comma and a space, and no token has a space.
  if (!('headersDistinct' in request)) return request.headers.get('authorization') ?? undefined
  // `headers` keeps the first of several: a proxy in front may have looked at another one.
  const given = request.headersDistinct['authorization']
  return given?.length === 1 ? given[0] : undefined
}

/** Compares with every token, also after a match, so that the time taken does not tell which one came close. */
function holderOf(token: string | null, known: readonly KnownToken[]): BearerPrincipal | null {
  if (token === null) return null
  const digest = digestOfText(token)
  let holder: KnownToken | null = null
  for (const candidate of known) if (timingSafeEqual(candidate.digest, digest)) holder = candidate
  return holder === null ? null : { name: holder.name, roles: holder.roles }
}

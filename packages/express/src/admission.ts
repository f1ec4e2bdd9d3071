import type { IncomingMessage } from 'node:http'
import type { AdminAuth } from './auth.ts'
import { AuthLimit } from './auth-limit.ts'
import { Problem } from './problem.ts'
import type { Route } from './routes.ts'

/** Decides who gets to a route. */
export class Admission<Principal> {
  readonly #auth: AdminAuth<Principal>
  readonly #anonymousStatus: boolean
  readonly #limit = new AuthLimit()

  /** @throws TypeError when `auth` is not an authentication. */
  constructor(auth: AdminAuth<Principal>, anonymousStatus: boolean) {
    // Hosts in JavaScript have no compiler that tells them.
    const given = auth as Partial<AdminAuth<Principal>> | undefined
    if (typeof given?.authenticate !== 'function' || typeof given.authorize !== 'function') {
      throw new TypeError(
        'adminRouter: choose an authentication: auth: bearerAuth({ token }), or your own authenticate and authorize',
      )
    }
    this.#auth = auth
    this.#anonymousStatus = anonymousStatus
  }

  /**
   * Finds out who is asking.
   *
   * @param route - The route asked for; `undefined` for a path that does not take the method.
   * @returns The principal; `null` for a caller without a token on a route that the host opened to such.
   * @throws Problem `UNAUTHORIZED`, `TOO_MANY_FAILURES`.
   */
  async authenticate(request: IncomingMessage, route: Route | undefined): Promise<Principal | null> {
    const principal: unknown = await this.#auth.authenticate(request)
    if (principal !== null && principal !== undefined && principal !== false) return principal as Principal
    const isOpen = this.#anonymousStatus && route?.anonymous === true
    if (isOpen && request.headers.authorization === undefined) return null
    const waitSeconds = this.#limit.fail(addressOf(request))
    if (waitSeconds > 0)
      throw new Problem('TOO_MANY_FAILURES', { headers: { 'Retry-After': `${waitSeconds}` } })
    throw new Problem('UNAUTHORIZED', { headers: { 'WWW-Authenticate': 'Bearer' } })
  }

  /** @throws Problem `FORBIDDEN` unless the principal has the route's role. */
  async authorize(principal: Principal, { role, operation }: Route): Promise<void> {
    if (role === null) return
    const allowed: unknown = await this.#auth.authorize(principal, { role, operation })
    if (allowed !== true) throw new Problem('FORBIDDEN', { members: { required_role: role } })
  }
}

/** The address that failures are counted for: as the host's proxy settings see it, where the host is Express. */
function addressOf(request: IncomingMessage): string {
  const { ip } = request as IncomingMessage & { readonly ip?: string }
  return ip ?? request.socket.remoteAddress ?? 'unknown'
}

import type { AdminAuth } from './auth.ts'
import { AuthLimit } from './auth-limit.ts'
import { Problem } from './problem.ts'
import type { Route } from './route.ts'
import { UNFIT_FOR_AUDIT } from './schemas/fields.ts'

/** A request as far as its admission goes. */
export interface Applicant<Native> {
  readonly native: Native
  /** Where it comes from, as the host knows it. */
  readonly address: string
  readonly hasAuthorization: boolean
}

const MOST_NAME_CHARACTERS = 256

/** Decides who gets to a route. */
export class Admission<Principal, Native> {
  readonly #auth: AdminAuth<Principal, Native>
  readonly #anonymousStatus: boolean
  readonly #limit = new AuthLimit()

  /** @throws TypeError when `auth` is not an authentication. */
  constructor(auth: AdminAuth<Principal, Native>, anonymousStatus: boolean) {
    // Hosts in JavaScript have no compiler that tells them.
    const given = auth as Partial<AdminAuth<Principal, Native>> | undefined
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
  async authenticate(applicant: Applicant<Native>, route: Route | undefined): Promise<Principal | null> {
    const principal: unknown = await this.#auth.authenticate(applicant.native)
    if (principal !== null && principal !== undefined && principal !== false) return principal as Principal
    const isOpen = this.#anonymousStatus && route?.anonymous !== undefined
    if (isOpen && !applicant.hasAuthorization) return null
    const waitSeconds = this.#limit.fail(applicant.address)
    if (waitSeconds > 0)
      throw new Problem('TOO_MANY_FAILURES', { headers: { 'Retry-After': `${waitSeconds}` } })
    throw new Problem('UNAUTHORIZED', { headers: { 'WWW-Authenticate': 'Bearer' } })
  }

  /** @throws Problem `FORBIDDEN` unless the principal has the route's role. */
  async authorize(principal: Principal, route: Route): Promise<void> {
    if (await this.mayDo(principal, route)) return
    throw new Problem('FORBIDDEN', { members: { required_role: route.role } })
  }

  /** Whether a principal may have what a route offers. */
  async mayDo(principal: Principal, { role, operation }: Route): Promise<boolean> {
    if (role === null) return true
    const allowed: unknown = await this.#auth.authorize(principal, { role, operation })
    return allowed === true
  }

  /**
   * How the audit names a principal.
   *
   * @returns `null` where the host names nobody.
   * @throws Error when the host's name is none that the audit takes.
   */
  nameOf(principal: Principal): string | null {
    if (this.#auth.nameOf === undefined) {
      const own: unknown = typeof principal === 'object' ? (principal as { name?: unknown }).name : principal
      return isName(own) ? own : null
    }
    const name: unknown = this.#auth.nameOf(principal)
    if (isName(name)) return name
    throw new Error('auth.nameOf() must give 1 to 256 characters that fit on one line.')
  }
}

function isName(name: unknown): name is string {
  return (
    typeof name === 'string' &&
    name !== '' &&
    name.length <= MOST_NAME_CHARACTERS &&
    !UNFIT_FOR_AUDIT.test(name)
  )
}

import type { AdminRequest, AdminResponse } from '../exchange.ts'
import type { SessionBody } from '../schemas/fleet.ts'

/** A thing that a caller may be allowed. */
export interface Permission {
  readonly operation: string
  readonly role: string | null
}

/** Makes the handler of `GET /session`: a page that knows what its user may do offers nothing else. */
export function readSession(permissions: () => readonly Permission[]) {
  return async ({ actor, mayDo }: AdminRequest): Promise<AdminResponse> => {
    const operations: string[] = []
    const roles = new Map<string, boolean>()
    for (const { operation, role } of permissions()) {
      if (role === null || operations.includes(operation)) continue
      const allowed = await mayDo(operation)
      if (allowed) operations.push(operation)
      roles.set(role, allowed && roles.get(role) !== false)
    }
    const whole = [...roles].filter(([, everything]) => everything).map(([role]) => role)
    const body: SessionBody = { name: actor, roles: whole, operations }
    return { status: 200, body }
  }
}

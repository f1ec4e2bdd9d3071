import type { AuditEvent, SecretVault } from '@talos/envelope'
import type { z } from 'zod'
import type { AdminRequest, AdminResponse } from '../exchange.ts'
import { Problem } from '../problem.ts'
import type { AuditEventBody, AuditListBody, auditQuery } from '../schemas/audit.ts'

/** Makes the handler of `GET /audit`. */
export function listAudit(vault: SecretVault) {
  return async ({ query }: AdminRequest<unknown, z.infer<typeof auditQuery>>): Promise<AdminResponse> => {
    const { limit = 100, cursor = '' } = query
    const page = await vault.auditEvents({ limit, cursor: cursor || null }).catch(async (error: unknown) => {
      if (!(error instanceof TypeError)) throw error
      // Two things are a TypeError there: a trail that is kept elsewhere, and a cursor of the wrong form.
      const isHere = cursor !== '' && (await vault.auditEvents({ limit: 1 }).then(() => true, isNoTypeError))
      throw new Problem(isHere ? 'INVALID_CURSOR' : 'AUDIT_ELSEWHERE', { cause: error })
    })
    const { items, next, unreadable } = page
    const body: AuditListBody = { events: items.map(describeEvent), unreadable: [...unreadable] }
    return { status: 200, body: next === null ? body : { ...body, next } }
  }
}

function isNoTypeError(error: unknown): boolean {
  return !(error instanceof TypeError)
}

function describeEvent(event: AuditEvent): AuditEventBody {
  return {
    id: event.id,
    at: event.at,
    action: event.action,
    phase: event.phase,
    namespace: event.namespace,
    instance_id: event.instanceId,
    process: event.process,
    kek_id: event.kekId,
    epoch: event.epoch,
    reason: event.reason,
    actor: event.actor,
    details: { ...event.details },
  }
}

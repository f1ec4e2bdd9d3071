import { z } from 'zod'
import { count, kekId, time, wholeNumber } from './fields.ts'

export const auditEvent = z.object({
  id: z.string().meta({ description: 'UUIDv7: sorts by time.' }),
  at: time,
  action: z.string(),
  phase: z.enum(['intent', 'done', 'failed']),
  namespace: z.string(),
  instance_id: z.string(),
  process: z.string(),
  kek_id: kekId.nullable(),
  epoch: count.nullable(),
  reason: z.string().nullable(),
  actor: z.string().nullable().meta({ description: 'Who asked, by the name of the token or of the host.' }),
  details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
})

/** `GET /audit`. */
export const auditQuery = z.object({
  limit: wholeNumber(1, 1000).optional(),
  cursor: z.string().optional(),
})
export const auditList = z.object({
  events: z.array(auditEvent).meta({ description: 'Newest first.' }),
  unreadable: z.array(z.string()).meta({ description: 'Pages of the trail that could not be read.' }),
  next: z.string().optional().meta({ description: 'The cursor of the next page; absent after the last.' }),
})

export type AuditEventBody = z.infer<typeof auditEvent>
export type AuditListBody = z.infer<typeof auditList>

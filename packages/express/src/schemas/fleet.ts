import { z } from 'zod'
import { count, kekId, time } from './fields.ts'

export const instanceEntry = z.object({
  instance_id: z.string(),
  process: z.string().meta({ description: 'The process as operators know it, such as web-1/4711.' }),
  role: z.enum(['member', 'observer', 'unknown']),
  state: z.enum(['live', 'silent']),
  age_ms: z.number().min(0).meta({ description: 'Since its last heartbeat.' }),
  started_at: time.nullable(),
  epoch_seen: count,
  wished_kek_id: kekId.nullable(),
  keks: z.record(
    z.string(),
    z.object({
      holding: z.enum(['missing', 'other_bytes', 'untested', 'decrypt_only', 'held']),
      fingerprint: z.string().nullable(),
    }),
  ),
  agrees: z
    .boolean()
    .meta({ description: 'Whether it has seen this epoch and holds every KEK that is needed.' }),
})

/** `GET /instances`. */
export const instanceList = z.object({
  epoch: count.nullable(),
  instances: z.array(instanceEntry),
})

/** `GET /session`: who is asking, and what the caller may do. */
export const session = z.object({
  name: z.string().nullable().meta({ description: 'As the audit names the caller; null where it does not.' }),
  roles: z.array(z.string()).meta({ description: 'The roles of which everything is allowed.' }),
  operations: z.array(z.string()).meta({ description: 'What is allowed, by operationId.' }),
})

/** `GET /healthz`. */
export const health = z.object({ ready: z.boolean() })

export type InstanceEntryBody = z.infer<typeof instanceEntry>
export type InstanceListBody = z.infer<typeof instanceList>
export type SessionBody = z.infer<typeof session>
export type HealthBody = z.infer<typeof health>

import { z } from 'zod'
import { count, fingerprint, kekId, reason, time, waitingFor, wholeNumber } from './fields.ts'

const INSTANCE_ID = /^[\x21-\x7e]{1,36}$/

const counts = z.object({
  level: z.enum(['strong', 'advisory']).meta({ description: 'With advisory a 0 is no proof.' }),
  as_of: time,
  records: count,
  at_least: z.array(kekId).meta({ description: 'The KEKs that have the number told and maybe more.' }),
})

/** Counts and states: what a caller without a token may be told. */
export const kekCounts = z.object({
  ready: z.boolean(),
  current_kek_id: kekId.nullable(),
  target_kek_id: kekId.nullable(),
  pending: z.object({ kek_id: kekId }).nullable(),
  loaded_kek_ids: z.array(kekId),
  stale_counts: z.record(z.string(), count),
  counts,
})

export const kekEntry = z.object({
  id: kekId,
  state: z.enum(['provisioned', 'current', 'decrypt-only', 'suspended', 'retired']),
  fingerprint,
  loaded: z.boolean().meta({ description: 'Whether this instance holds it, with the bound bytes.' }),
  records: count,
  promoted_at: time.nullable(),
  fenced_at: time.nullable().meta({ description: 'When it ceased to be current.' }),
  suspended_at: time.nullable(),
  retired_at: time.nullable(),
  compromised_at: time.nullable(),
  escrowed_at: time.nullable(),
})

/** `GET /kek-status`. */
export const kekStatus = kekCounts.extend({
  pending: z.object({ kek_id: kekId, waiting_for: z.array(waitingFor) }).nullable(),
  namespace: z.string(),
  instance_id: z.string(),
  epoch: count.nullable(),
  wished_kek_id: kekId,
  reasons: z.array(
    z.object({
      code: z.string(),
      message: z.string(),
      kek_id: kekId.nullable(),
      fingerprint: fingerprint.nullable(),
    }),
  ),
  notices: z.array(z.string()),
  keks: z.array(kekEntry),
  fleet: z.object({ live: count, silent: count, disagreeing: count }),
})

/** `POST /keks/:id/promote`. */
export const promoteKekBody = z
  .strictObject({
    reason: reason.optional(),
    skip_instances: z
      .array(z.string().regex(INSTANCE_ID))
      .max(36)
      .optional()
      .meta({ description: 'Instances that are not waited for. Needs a reason.' }),
  })
  .refine((body) => (body.skip_instances ?? []).length === 0 || (body.reason ?? '') !== '', {
    path: ['reason'],
  })
  .optional()

/** `POST /keks/:id/suspend` and `resume`. */
export const kekCommandBody = z.strictObject({ reason: reason.optional() }).optional()

export const kekChanged = z.object({
  epoch: count.meta({ description: 'Of the keyring document after the change; If-Match takes it.' }),
})

/** `POST /keks/:id/retire`. */
export const retireKekBody = z
  .strictObject({
    reason: reason.optional(),
    accept_advisory: reason.optional().meta({ description: 'Why an ADVISORY verdict is good enough.' }),
    accept_loss_of_backups: reason
      .optional()
      .meta({ description: 'Why it does no harm that backups under this KEK can never be read again.' }),
    min_epoch: z.int().min(1).optional().meta({ description: 'A store below this epoch has gone back.' }),
  })
  .optional()

/** `GET /keks/:id/retirement`. */
export const retirementQuery = z.object({
  min_epoch: wholeNumber(1, Number.MAX_SAFE_INTEGER).optional(),
  accept_loss_of_backups: reason.optional(),
})

export type KekCountsBody = z.infer<typeof kekCounts>
export type KekEntryBody = z.infer<typeof kekEntry>
export type KekStatusBody = z.infer<typeof kekStatus>
export type PromoteKekBody = z.infer<typeof promoteKekBody>
export type KekCommandBody = z.infer<typeof kekCommandBody>
export type KekChangedBody = z.infer<typeof kekChanged>
export type RetireKekBody = z.infer<typeof retireKekBody>

import { z } from 'zod'
import { count, kekId, operationId, reason, time, waitingFor, wholeNumber } from './fields.ts'

/** The whole of what a rotation can be told: nothing here chooses secrets or KEKs. */
export const startRotationBody = z
  .strictObject({
    dry_run: z
      .boolean()
      .optional()
      .meta({ description: 'Counts what would be re-wrapped and writes nothing.' }),
    rate_limit: z.number().positive().optional().meta({ description: 'The most secrets a second.' }),
    concurrency: z
      .int()
      .min(1)
      .max(8)
      .optional()
      .meta({ description: 'Shards that one instance works on at once.' }),
    acknowledge_compromised: z
      .boolean()
      .optional()
      .meta({ description: 'You know that re-wrapping makes no value secret again that others have read.' }),
    reason: reason.optional(),
  })
  .optional()

/** `POST /rotate-all`, 202. */
export const rotationAccepted = z.object({
  op_id: operationId,
  status: z.literal('running'),
  message: z.string(),
  status_url: z.string().meta({ description: 'A reference relative to the request, or absolute.' }),
  waiting_for: z.array(waitingFor).optional(),
})

export const rotationStatus = z.enum(['running', 'paused', 'completed', 'failed', 'cancelled'])

/** Totals over all passes. `scanned` is the sum of the others. */
export const rotationStats = z.object({
  scanned: count,
  rotated: count.meta({ description: 'Re-wrapped; in a dry run, what would be.' }),
  already_current: count,
  changed: count,
  deleted: count,
  failed: count,
})

/** Counts and states: what a caller without a token may be told. */
export const rotationProgress = z.object({
  id: operationId,
  status: rotationStatus,
  target_kek_id: kekId,
  stats: rotationStats,
  pass: z.int().min(1),
  started_at: time,
  updated_at: time,
  completed_at: time.nullable(),
})

export const rotationOperation = rotationProgress.extend({
  dry_run: z.boolean(),
  waiting_for: z.array(waitingFor).meta({ description: 'Whom the promotion of the target waits for.' }),
  shards: z
    .object({ total: count, done: count, working: count })
    .meta({ description: 'Of this pass; total 0 before they are known.' }),
  expected: count.nullable().meta({ description: 'Stale secrets counted at the begin; null if unknown.' }),
  per_second: z.number().min(0).meta({ description: 'Secrets a second lately, all workers together.' }),
  remaining_ms: z.number().min(0).nullable(),
  workers: z.array(z.string()).meta({ description: 'Ids of the instances at work.' }),
  cursor: z.string().nullable().meta({ description: 'Of older versions; null.' }),
  rate_limit: z.number().nullable(),
  concurrency: z.int().min(1),
  paused_by: z.enum(['operator', 'outage']).nullable(),
  last_error: z.object({ code: z.string(), message: z.string() }).nullable(),
})

/** A secret that could not be re-wrapped. */
export const rotationFailure = z.object({
  name: z.string(),
  reason: z.string().meta({ description: 'A stable code.' }),
  key_id: kekId.nullable(),
  digest: z.string().meta({ description: 'Of what is stored: 32 hexadecimal digits. Tells records apart.' }),
  source: z.string().nullable().meta({ description: 'The declared source; null for the store.' }),
})

/** `GET /rotation-status/:op_id`. */
export const rotationDetails = rotationOperation.extend({
  failures: z.array(rotationFailure).meta({ description: 'The first 100; stats.failed counts all.' }),
})

/** `GET /rotations`. */
export const rotationListQuery = z.object({ limit: wholeNumber(1, 100).optional() })
export const rotationList = z.object({
  rotations: z.array(rotationOperation).meta({ description: 'Newest first.' }),
})

/** `POST /rotations/:op_id/{pause,resume,cancel,retry-failed}`. */
export const rotationActionBody = z.strictObject({ reason: reason.optional() }).optional()
export const rotationActionAccepted = z.object({
  op_id: operationId,
  status: rotationStatus,
  status_url: z.string(),
})

export type StartRotationBody = z.infer<typeof startRotationBody>
export type RotationAccepted = z.infer<typeof rotationAccepted>
export type RotationStatusName = z.infer<typeof rotationStatus>
export type RotationProgressBody = z.infer<typeof rotationProgress>
export type RotationOperationBody = z.infer<typeof rotationOperation>
export type RotationFailureBody = z.infer<typeof rotationFailure>
export type RotationDetailsBody = z.infer<typeof rotationDetails>
export type RotationListBody = z.infer<typeof rotationList>
export type RotationActionBody = z.infer<typeof rotationActionBody>
export type RotationActionAccepted = z.infer<typeof rotationActionAccepted>

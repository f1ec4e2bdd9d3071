import { z } from 'zod'
import { count, fingerprint, kekId, time } from './fields.ts'

const clause = z.enum(['S1', 'S2', 'S3', 'S4', 'S5', 'S6', 'S7', 'S8', 'S9'])
const level = z.enum(['strong', 'advisory'])
const epoch = z.int().min(1)

const instance = z.object({
  instanceId: z.string(),
  process: z.string(),
  role: z.enum(['member', 'observer', 'unknown']),
  state: z.enum(['live', 'silent']),
  ageMs: z.number().min(0),
  startedAt: z.string().nullable(),
  epochSeen: count,
  wishedKekId: z.string().nullable(),
  keks: z.record(
    z.string(),
    z.object({
      holding: z.enum(['missing', 'other_bytes', 'untested', 'decrypt_only', 'held']),
      fingerprint: z.string().nullable(),
    }),
  ),
  agrees: z.boolean(),
})

/**
 * `GET /keks/:id/retirement` and `POST /keks/:id/retire`: the document that is kept with the escrow. It is the same wherever
 * it is made, so its members are spelt as in docs/reference/retirement-certificate.schema.json.
 */
export const retirementCertificate = z.object({
  schema: z.literal('talos.retirement-certificate.1'),
  verdict: z.enum(['SAFE', 'ADVISORY', 'NOT_SAFE']),
  reasons: z.array(
    z.object({
      clause,
      code: z.string().meta({ description: 'A stable code.' }),
      weight: z.enum(['blocks', 'advises']),
      message: z.string(),
    }),
  ),
  kekId,
  fingerprint,
  state: z.enum(['current', 'decrypt-only', 'suspended', 'retired']),
  namespace: z.string(),
  storeKind: z.string(),
  incarnation: z.string(),
  epoch,
  instanceId: z.string(),
  checkedAt: time,
  evidence: z.object({
    S1: z.object({ records: count, census: z.record(z.string(), count), begunAt: time }),
    S2: z.object({
      fence: z.object({ at: time, epoch, incarnation: z.string() }).nullable(),
      revision: z.int().min(1),
    }),
    S3: z.object({ kind: z.string(), level, reasons: z.array(z.string()) }),
    S4: z.object({
      sources: z.array(
        z.object({
          name: z.string(),
          envelopes: count.nullable(),
          maxAgeMs: z.number().min(0).nullable(),
          fault: z
            .object({ code: z.string(), message: z.string() })
            .nullable()
            .meta({ description: 'Why it could not be counted.' }),
        }),
      ),
      elsewhere: z
        .array(z.object({ name: z.string(), processes: z.array(z.string()) }))
        .meta({ description: 'What other live instances have declared besides.' }),
      statement: z.string(),
    }),
    S5: z.object({
      operation: z.object({ id: z.string(), status: z.string(), targetKekId: kekId }).nullable(),
    }),
    S6: z.object({ needed: z.array(z.string()), instances: z.array(instance) }),
    S7: z.object({ currentKekId: kekId, sameBytesAs: z.array(kekId) }),
    S8: z.object({
      incarnation: z.string(),
      incarnationAtFence: z.string().nullable(),
      epoch,
      highestEpoch: epoch,
    }),
    S9: z.object({ escrowedAt: time.nullable(), acceptedLossOfBackups: z.string().nullable() }),
  }),
})

export type RetirementCertificateBody = z.infer<typeof retirementCertificate>

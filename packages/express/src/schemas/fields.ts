import { z } from 'zod'

/** What names a KEK. */
const KEK_ID = /^(?!.*_file$)[a-z0-9][a-z0-9_-]{0,31}$/
/** Controls, line separators and what changes the direction of text: the audit takes none of them. */
export const UNFIT_FOR_AUDIT = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u

export const time = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/)
  .meta({ format: 'date-time', description: 'RFC 3339 in UTC.' })
export const count = z.int().min(0)
export const kekId = z.string().regex(KEK_ID)
export const fingerprint = z
  .string()
  .regex(/^[0-9a-f]{16}$/)
  .meta({ description: 'Tells the bytes of a KEK apart: 16 hexadecimal digits.' })
export const operationId = z
  .string()
  .regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
  .meta({ description: 'UUIDv7: sorts by time.' })

/** What an operator says for the audit trail. */
export const reason = z
  .string()
  .max(1024)
  .refine((text) => !UNFIT_FOR_AUDIT.test(text))
  .meta({ description: 'Why, for the audit: one line.' })

/** An instance that the promotion of a KEK waits for. */
export const waitingFor = z.object({
  instance_id: z.string(),
  process: z.string().meta({ description: 'The process as operators know it, such as web-1/4711.' }),
  reason: z.string().meta({ description: 'A stable code.' }),
  message: z.string().meta({ description: 'The reason in words, with what to do.' }),
})

/** A query parameter that is a number: text on the wire, a number to the handler. */
export function wholeNumber(least: number, most: number) {
  return z
    .string()
    .regex(/^(0|[1-9]\d{0,15})$/)
    .transform(Number)
    .pipe(z.int().min(least).max(most))
}

export type WaitingInstance = z.infer<typeof waitingFor>

import { z } from 'zod'
import { count, kekId, reason, time, wholeNumber } from './fields.ts'

const BASE64URL = /^[A-Za-z0-9_-]*$/
const MOST_NAME_BYTES = 512

/** Whether a text can name a secret. */
export function isSecretName(name: string): boolean {
  return (
    name !== '' && Buffer.byteLength(name) <= MOST_NAME_BYTES && !name.includes('\0') && name.isWellFormed()
  )
}

/** Without padding and in its only spelling: two texts for one value would be two answers to "is it the same". */
function isCanonicalBase64url(text: string): boolean {
  return BASE64URL.test(text) && Buffer.from(text, 'base64url').toString('base64url') === text
}

/** `POST /`: a secret to be stored, its value as text, or as bytes in base64url. */
export const putSecretBody = z
  .strictObject({
    name: z.string().refine(isSecretName).meta({ description: '1 to 512 bytes of UTF-8 without U+0000.' }),
    value: z
      .string()
      .refine((value) => value.isWellFormed())
      .optional(),
    value_b64u: z
      .string()
      .refine(isCanonicalBase64url)
      .optional()
      .meta({ description: 'Bytes in base64url without padding, in place of value.' }),
    reason: reason.optional(),
  })
  .refine((body) => (body.value === undefined) !== (body.value_b64u === undefined))

export const secretStored = z.object({ success: z.literal(true), name: z.string() })

/** `DELETE /?name=`. */
export const deleteSecretQuery = z.object({ name: z.string().optional() })
export const secretDeleted = z.object({ success: z.literal(true) })

export const secretEntry = z.object({
  name: z.string(),
  key_id: kekId.nullable(),
  version: count.nullable().meta({ description: 'null, as the times, when the metadata is damaged.' }),
  created_at: time.nullable(),
  updated_at: time.nullable(),
  rotated_at: time.nullable().meta({ description: 'null for a secret that was never re-wrapped.' }),
})

/** `GET /`. */
export const secretListQuery = z.object({
  limit: wholeNumber(1, 1000).optional(),
  cursor: z.string().optional(),
})
export const secretList = z.object({
  secrets: z.array(secretEntry),
  next: z.string().optional().meta({ description: 'The cursor of the next page; absent after the last.' }),
})

export type PutSecretBody = z.infer<typeof putSecretBody>
export type SecretEntryBody = z.infer<typeof secretEntry>
export type SecretListBody = z.infer<typeof secretList>

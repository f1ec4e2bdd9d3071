import { type SecretEntry, type SecretVault, STORE_LIMITS } from '@talos/envelope'
import { z } from 'zod'
import type { AdminRequest, AdminResponse } from '../exchange.ts'
import { Problem, type ProblemCode } from '../problem.ts'

const BASE64URL = /^[A-Za-z0-9_-]*$/
const LIMIT = /^([1-9]\d{0,2}|1000)$/

function isSecretName(name: string): boolean {
  return (
    name !== '' &&
    Buffer.byteLength(name) <= STORE_LIMITS.nameBytes &&
    !name.includes('\0') &&
    name.isWellFormed()
  )
}

/** Without padding and in its only spelling: two texts for one value would be two answers to "is it the same". */
function isCanonicalBase64url(text: string): boolean {
  return BASE64URL.test(text) && Buffer.from(text, 'base64url').toString('base64url') === text
}

/** A secret to be stored: its value as text, or as bytes in base64url. */
export const putSecretBody = z
  .strictObject({
    name: z.string().refine(isSecretName),
    value: z
      .string()
      .refine((value) => value.isWellFormed())
      .optional(),
    value_b64u: z.string().refine(isCanonicalBase64url).optional(),
  })
  .refine((body) => (body.value === undefined) !== (body.value_b64u === undefined))

/** Makes the handler of `POST /`. */
export function putSecret(vault: SecretVault) {
  return async ({ body }: AdminRequest<z.infer<typeof putSecretBody>>): Promise<AdminResponse> => {
    const value = body.value ?? Buffer.from(body.value_b64u ?? '', 'base64url')
    const { outcome } = await orRefuse('INVALID_BODY', () => vault.put(body.name, value))
    if (outcome === 'conflict') throw new Problem('SECRET_CHANGED')
    return { status: 201, body: { success: true, name: body.name } }
  }
}

/** Makes the handler of `GET /`. */
export function listSecrets(vault: SecretVault) {
  return async ({ query }: AdminRequest): Promise<AdminResponse> => {
    const limit = query.get('limit') ?? '100'
    if (!LIMIT.test(limit)) throw new Problem('INVALID_QUERY')
    const cursor = query.get('cursor') || null
    const page = await orRefuse('INVALID_CURSOR', () => vault.listPage({ limit: Number(limit), cursor }))
    const secrets = page.items.map(describeEntry)
    return { status: 200, body: page.next === null ? { secrets } : { secrets, next: page.next } }
  }
}

function describeEntry(entry: SecretEntry): Record<string, unknown> {
  return {
    name: entry.name,
    key_id: entry.kekId,
    version: entry.version,
    created_at: entry.createdAt,
    updated_at: entry.updatedAt,
    rotated_at: entry.rewrappedAt,
  }
}

/** Makes the handler of `DELETE /:name`, for names that every proxy passes on as they are. */
export function deleteSecretByPath(vault: SecretVault) {
  return async ({ params }: AdminRequest): Promise<AdminResponse> => {
    const secretName = params['name'] ?? ''
    // Clients resolve "." and ".." away, proxies decode or merge slashes: the name that arrives may not be the one meant.
    if (secretName === '.' || secretName === '..' || secretName.includes('/'))
      throw new Problem('INVALID_NAME')
    return await deleteSecret(vault, secretName)
  }
}

/** Makes the handler of `DELETE /?name=`, for any name. */
export function deleteSecretByQuery(vault: SecretVault) {
  return async ({ query }: AdminRequest): Promise<AdminResponse> => {
    return await deleteSecret(vault, query.get('name') ?? '')
  }
}

async function deleteSecret(vault: SecretVault, secretName: string): Promise<AdminResponse> {
  if (!isSecretName(secretName)) throw new Problem('INVALID_NAME')
  const { outcome } = await orRefuse('INVALID_NAME', () => vault.delete(secretName))
  if (outcome === 'missing') throw new Problem('SECRET_NOT_FOUND')
  if (outcome === 'conflict') throw new Problem('SECRET_CHANGED')
  return { status: 200, body: { success: true } }
}

/** The vault answers an argument of the wrong form with a TypeError. Here every argument comes from the client. */
async function orRefuse<T>(code: ProblemCode, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    if (error instanceof TypeError) throw new Problem(code, { cause: error })
    throw error
  }
}

import type { SecretEntry, SecretVault } from '@talos/envelope'
import type { z } from 'zod'
import type { AdminRequest, AdminResponse } from '../exchange.ts'
import { Problem } from '../problem.ts'
import {
  type deleteSecretQuery,
  isSecretName,
  type PutSecretBody,
  type SecretEntryBody,
  type secretListQuery,
} from '../schemas/secrets.ts'
import { auditNotes, orRefuse } from './refuse.ts'

/** Makes the handler of `POST /`. */
export function putSecret(vault: SecretVault) {
  return async ({ body, actor }: AdminRequest<PutSecretBody>): Promise<AdminResponse> => {
    const value = body.value ?? Buffer.from(body.value_b64u ?? '', 'base64url')
    const { outcome } = await vault.put(body.name, value, { audit: auditNotes(actor, body.reason) })
    if (outcome === 'conflict') throw new Problem('SECRET_CHANGED')
    return { status: 201, body: { success: true, name: body.name } }
  }
}

/** Makes the handler of `GET /`. */
export function listSecrets(vault: SecretVault) {
  return async ({
    query,
  }: AdminRequest<unknown, z.infer<typeof secretListQuery>>): Promise<AdminResponse> => {
    const { limit = 100, cursor = '' } = query
    // No cursor has one. PostgreSQL refuses it as text, which would pass for an outage.
    if (cursor.includes('\0')) throw new Problem('INVALID_CURSOR')
    const list = () => vault.listPage({ limit, cursor: cursor || null })
    const page = await (cursor === '' ? list() : orRefuse('INVALID_CURSOR', list))
    const secrets = page.items.map(describeEntry)
    return { status: 200, body: page.next === null ? { secrets } : { secrets, next: page.next } }
  }
}

function describeEntry(entry: SecretEntry): SecretEntryBody {
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
  return async ({ params, actor }: AdminRequest): Promise<AdminResponse> => {
    const secretName = params['name'] ?? ''
    // Clients resolve "." and ".." away, proxies decode or merge slashes: the name that arrives may not be the one meant.
    if (secretName === '.' || secretName === '..' || secretName.includes('/'))
      throw new Problem('INVALID_NAME')
    return await deleteSecret(vault, secretName, actor)
  }
}

/** Makes the handler of `DELETE /?name=`, for any name. */
export function deleteSecretByQuery(vault: SecretVault) {
  return async ({
    query,
    actor,
  }: AdminRequest<unknown, z.infer<typeof deleteSecretQuery>>): Promise<AdminResponse> => {
    return await deleteSecret(vault, query.name ?? '', actor)
  }
}

async function deleteSecret(
  vault: SecretVault,
  secretName: string,
  actor: string | null,
): Promise<AdminResponse> {
  if (!isSecretName(secretName)) throw new Problem('INVALID_NAME')
  const { outcome } = await vault.delete(secretName, { audit: auditNotes(actor, undefined) })
  if (outcome === 'missing') throw new Problem('SECRET_NOT_FOUND')
  if (outcome === 'conflict') throw new Problem('SECRET_CHANGED')
  return { status: 200, body: { success: true } }
}

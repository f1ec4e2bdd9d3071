import type { RotationOperation, SecretVault } from '@talos/envelope'
import { z } from 'zod'
import type { AdminRequest, AdminResponse } from '../exchange.ts'
import { Problem } from '../problem.ts'
import { describeWaiting } from './keks.ts'

/** The whole of what a rotation can be told: nothing here chooses secrets or KEKs. */
export const startRotationBody = z
  .strictObject({
    dry_run: z.boolean().optional(),
    rate_limit: z.number().positive().optional(),
  })
  .optional()

const OPERATION_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
/** The most failures of one answer. */
const MOST_FAILURES = 100
/** A sensible pause between two looks at a rotation, and at one that waits for restarts. */
const POLL_SECONDS = { running: 2, waiting: 5 } as const

/** Makes the handler of `POST /rotate-all`; `linkTo` makes a path below the mount a reference the client can follow. */
export function startRotation(vault: SecretVault, linkTo: (path: string) => string) {
  return async ({ body }: AdminRequest<z.infer<typeof startRotationBody>>): Promise<AdminResponse> => {
    if (body?.dry_run === true) throw new Problem('DRY_RUN_NOT_OFFERED')
    const { id, started, waitingFor } = await vault.rotate(
      body?.rate_limit === undefined ? {} : { ratePerSecond: body.rate_limit },
    )
    const statusUrl = linkTo(`rotation-status/${id}`)
    if (!started) {
      throw new Problem('ROTATION_ALREADY_RUNNING', { members: { op_id: id, status_url: statusUrl } })
    }
    const waits = waitingFor.length > 0
    return {
      status: 202,
      headers: { Location: statusUrl, 'Retry-After': `${POLL_SECONDS[waits ? 'waiting' : 'running']}` },
      body: {
        op_id: id,
        status: 'running',
        message: waits
          ? 'Rotation accepted. It begins once the instances in waiting_for have followed.'
          : 'Rotation started.',
        status_url: statusUrl,
        ...(waits ? { waiting_for: waitingFor.map(describeWaiting) } : {}),
      },
    }
  }
}

/** Makes the handler of `GET /rotation-status/:op_id`. */
export function readRotation(vault: SecretVault) {
  return async ({ params, anonymous }: AdminRequest): Promise<AdminResponse> => {
    const operationId = params['op_id'] ?? ''
    const operation = OPERATION_ID.test(operationId) ? await vault.rotations.get(operationId) : null
    if (operation === null) throw new Problem('ROTATION_NOT_FOUND')
    if (anonymous) return { status: 200, body: describeProgress(operation) }
    return {
      status: 200,
      body: { ...describeOperation(operation), failures: await failuresOf(vault, operation) },
    }
  }
}

/** The first of the records that could not be re-wrapped; `stats.failed` counts all. */
async function failuresOf(vault: SecretVault, operation: RotationOperation): Promise<readonly unknown[]> {
  const failures: unknown[] = []
  if (operation.totals.failed === 0) return failures
  for await (const { name, reason, kekId } of vault.rotations.failures(operation.id)) {
    failures.push({ name, reason, key_id: kekId })
    if (failures.length === MOST_FAILURES) break
  }
  return failures
}

/** Counts and states: what the older runbook polls without a token. */
function describeProgress(operation: RotationOperation): Record<string, unknown> {
  const { totals } = operation
  return {
    id: operation.id,
    status: operation.status,
    target_kek_id: operation.targetKekId,
    stats: {
      scanned: totals.scanned,
      rotated: totals.rewrapped,
      already_current: totals.alreadyCurrent,
      changed: totals.changed,
      deleted: totals.deleted,
      failed: totals.failed,
    },
    pass: operation.pass,
    started_at: operation.startedAt,
    updated_at: operation.updatedAt,
    completed_at: operation.completedAt,
  }
}

function describeOperation(operation: RotationOperation): Record<string, unknown> {
  return {
    ...describeProgress(operation),
    waiting_for: operation.waitingFor.map(describeWaiting),
    cursor: operation.cursor,
    rate_limit: operation.ratePerSecond,
    last_error: describeError(operation.lastError),
  }
}

/** The core words its own errors for operators; those of a store or a key provider may quote a driver. */
function describeError(error: RotationOperation['lastError']): Record<string, unknown> | null {
  if (error === null) return null
  if (error.code.startsWith('ERR_STORE_')) {
    return { code: error.code, message: 'The store failed. The server logs say why.' }
  }
  if (error.code.startsWith('ERR_KEY_PROVIDER_')) {
    return { code: error.code, message: 'A key provider failed. The server logs say why.' }
  }
  return { code: error.code, message: error.message }
}

import type { RotationOperation, SecretVault } from '@talos/envelope'
import type { z } from 'zod'
import type { AdminRequest, AdminResponse } from '../exchange.ts'
import { Problem } from '../problem.ts'
import { operationId } from '../schemas/fields.ts'
import type {
  RotationAccepted,
  RotationFailureBody,
  RotationListBody,
  RotationOperationBody,
  RotationProgressBody,
  rotationListQuery,
  StartRotationBody,
} from '../schemas/rotations.ts'
import { describeWaiting } from './keks.ts'
import { auditNotes } from './refuse.ts'

/** The most failures of one answer. */
const MOST_FAILURES = 100
/** A sensible pause between two looks at a rotation, and at one that waits for restarts. */
const POLL_SECONDS = { running: 2, waiting: 5 } as const

/** Makes a path below the mount a link for clients; `depth` is how many segments below it the request is. */
export type LinkTo = (path: string, depth: number) => string

/** Makes the handler of `POST /rotate-all`. */
export function startRotation(vault: SecretVault, linkTo: LinkTo) {
  return async ({ body, actor }: AdminRequest<StartRotationBody>): Promise<AdminResponse> => {
    const { dry_run, rate_limit, concurrency, acknowledge_compromised, reason } = body ?? {}
    const options = {
      ...auditNotes(actor, reason),
      ...(dry_run === undefined ? {} : { dryRun: dry_run }),
      ...(rate_limit === undefined ? {} : { ratePerSecond: rate_limit }),
      ...(concurrency === undefined ? {} : { concurrency }),
      ...(acknowledge_compromised === undefined ? {} : { acknowledgeCompromised: acknowledge_compromised }),
    }
    const { id, started, waitingFor } = await vault.rotate(options)
    const statusUrl = linkTo(`rotation-status/${id}`, 1)
    if (!started) {
      throw new Problem('ROTATION_ALREADY_RUNNING', { members: { op_id: id, status_url: statusUrl } })
    }
    const waits = waitingFor.length > 0
    const accepted: RotationAccepted = {
      op_id: id,
      status: 'running',
      message: messageOf(waits, dry_run === true),
      status_url: statusUrl,
      ...(waits ? { waiting_for: waitingFor.map(describeWaiting) } : {}),
    }
    const retryAfter = `${POLL_SECONDS[waits ? 'waiting' : 'running']}`
    return { status: 202, headers: { Location: statusUrl, 'Retry-After': retryAfter }, body: accepted }
  }
}

function messageOf(waits: boolean, isDryRun: boolean): string {
  if (waits) return 'Rotation accepted. It begins once the instances in waiting_for have followed.'
  return isDryRun ? 'Dry run started: it writes nothing.' : 'Rotation started.'
}

/** Makes the handler of `GET /rotation-status/:op_id`. */
export function readRotation(vault: SecretVault) {
  return async ({ params, anonymous }: AdminRequest): Promise<AdminResponse> => {
    const operation = await vault.rotations.get(operationOf(params))
    if (operation === null) throw new Problem('ROTATION_NOT_FOUND')
    if (anonymous) return { status: 200, body: describeProgress(operation) }
    const failures = await failuresOf(vault, operation)
    return { status: 200, body: { ...describeOperation(operation), failures } }
  }
}

/** Makes the handler of `GET /rotations`. */
export function listRotations(vault: SecretVault) {
  return async ({
    query,
  }: AdminRequest<unknown, z.infer<typeof rotationListQuery>>): Promise<AdminResponse> => {
    const operations = await vault.rotations.list({ limit: query.limit ?? 20 })
    const body: RotationListBody = { rotations: operations.map(describeOperation) }
    return { status: 200, body }
  }
}

/** The id that a path names; one that can be no operation's is as unknown as any other. */
export function operationOf(params: Readonly<Record<string, string>>): string {
  const id = params['op_id'] ?? ''
  if (!operationId.safeParse(id).success) throw new Problem('ROTATION_NOT_FOUND')
  return id
}

/** The first of the records that could not be re-wrapped; `stats.failed` counts all. */
async function failuresOf(
  vault: SecretVault,
  operation: RotationOperation,
): Promise<readonly RotationFailureBody[]> {
  const failures: RotationFailureBody[] = []
  if (operation.totals.failed === 0) return failures
  for await (const { name, reason, kekId, digest, source } of vault.rotations.failures(operation.id)) {
    failures.push({ name, reason, key_id: kekId, digest, source })
    if (failures.length === MOST_FAILURES) break
  }
  return failures
}

/** Counts and states: what the older runbook polls without a token. */
function describeProgress(operation: RotationOperation): RotationProgressBody {
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

/** An operation in the API's spelling, without its failures. */
export function describeOperation(operation: RotationOperation): RotationOperationBody {
  return {
    ...describeProgress(operation),
    dry_run: operation.dryRun,
    waiting_for: operation.waitingFor.map(describeWaiting),
    shards: { ...operation.shards },
    expected: operation.expected,
    per_second: operation.perSecond,
    remaining_ms: operation.remainingMs,
    workers: [...operation.workers],
    cursor: null,
    rate_limit: operation.ratePerSecond,
    concurrency: operation.concurrency,
    paused_by: operation.pausedBy,
    last_error: describeError(operation.lastError),
  }
}

/** The core words its own errors for operators; those of a store, a source or a key provider may quote a driver. */
function describeError(error: RotationOperation['lastError']): RotationOperationBody['last_error'] {
  if (error === null) return null
  if (error.code.startsWith('ERR_STORE_')) {
    return { code: error.code, message: 'The store failed. The server logs say why.' }
  }
  if (error.code.startsWith('ERR_KEY_PROVIDER_')) {
    return { code: error.code, message: 'A key provider failed. The server logs say why.' }
  }
  if (error.code === 'ERR_SOURCE_FAILED') {
    return { code: error.code, message: 'A declared source failed. The server logs say why.' }
  }
  return { code: error.code, message: error.message }
}

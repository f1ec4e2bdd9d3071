import { LifecycleError } from '../errors.ts'
import type { CallOptions } from '../store/secret-store.ts'
import { withoutFailed } from './operation.ts'
import type { LoggedOperation, OperationLog } from './operation-log.ts'
import { type OperationRecord, totalsOf } from './operation-record.ts'

/** What an operator can ask of an operation. */
export type OperationVerb = 'pause' | 'resume' | 'cancel' | 'retryFailed'

/** What a change is made of. */
export interface Change {
  readonly log: OperationLog
  /** RFC 3339 UTC. */
  readonly at: () => string
  readonly next: () => CallOptions
}

/**
 * Changes the newest operation, if it is the one that is meant.
 *
 * @param change - Answers the changed record; `null` to leave it as it is.
 * @returns The operation as it is then; `null` when another one is the newest.
 */
export async function changeOperation(
  { log, at, next }: Change,
  operationId: string,
  change: (found: LoggedOperation) => Promise<OperationRecord | null> | OperationRecord | null,
): Promise<OperationRecord | null> {
  for (;;) {
    const found = await log.newest(next())
    if (found === null || found.record.id !== operationId) return null
    const changed = await change(found)
    if (changed === null) return found.record
    const record = { ...changed, updatedAt: at() }
    if ((await log.save(record, found.revision, next())) !== null) return record
  }
}

/**
 * Carries out what an operator asks of an operation. Asking for what is so already changes nothing.
 *
 * @throws LifecycleError `ERR_ROTATION_UNKNOWN`; `ERR_ROTATION_STATE` when the verb does not fit the status.
 */
export async function commandOperation(
  change: Change,
  operationId: string,
  verb: OperationVerb,
): Promise<OperationRecord> {
  const { log, at, next } = change
  let former: OperationRecord | null = null
  const changed = await changeOperation(change, operationId, async ({ record }) => {
    const { status } = record
    switch (verb) {
      case 'pause':
        if (status === 'paused') return null
        if (status !== 'running') throw refused(record, verb)
        return { ...record, status: 'paused', pausedBy: 'operator' }
      case 'resume':
        if (status === 'running') return null
        if (status !== 'paused') throw refused(record, verb)
        return { ...record, status: 'running', pausedBy: null, lastError: null }
      case 'cancel':
        if (status === 'cancelled') return null
        if (status !== 'running' && status !== 'paused') throw refused(record, verb)
        return { ...record, status: 'cancelled', pausedBy: null, completedAt: at() }
      case 'retryFailed': {
        if (status === 'running') return null
        if (status !== 'failed') throw refused(record, verb)
        former = record
        const totals = totalsOf(record, await log.shards(record, next()))
        return {
          ...record,
          status: 'running',
          pass: record.pass + 1,
          round: record.round + 1,
          shards: null,
          totals: withoutFailed(totals),
          expected: null,
          rewrappedBefore: totals.rewrapped,
          fruitlessPasses: 0,
          completedAt: null,
          lastError: null,
        }
      }
    }
  })
  if (changed !== null) {
    if (former !== null) await log.forgetShards(former, next())
    return changed
  }
  const known = await log.find(operationId, next())
  if (known === null) {
    const message = 'There is no rotation with this id. vault.rotations.list() lists those that are known.'
    throw new LifecycleError('ERR_ROTATION_UNKNOWN', message)
  }
  const message = `Rotation ${known.id} is not the newest any more and cannot be changed. Nothing was changed.`
  throw new LifecycleError('ERR_ROTATION_STATE', message)
}

const FITS: Readonly<Record<OperationVerb, readonly [words: string, of: string]>> = {
  pause: ['pause', 'a running one'],
  resume: ['resume', 'a paused one'],
  cancel: ['cancel', 'a running or paused one'],
  retryFailed: ['retry', 'a failed one'],
}

function refused({ id, status }: OperationRecord, verb: OperationVerb): LifecycleError {
  const [words, of] = FITS[verb]
  return new LifecycleError(
    'ERR_ROTATION_STATE',
    `Rotation ${id} is ${status}: only ${of} can be asked to ${words}. Nothing was changed.`,
  )
}

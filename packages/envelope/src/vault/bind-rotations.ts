import { LifecycleError } from '../errors.ts'
import type { AuditAction } from '../lifecycle/audit.ts'
import type { AuditTrail } from '../lifecycle/audit-trail.ts'
import type { RotationOperation } from '../rotation/operation.ts'
import { commandOperation, type OperationVerb } from '../rotation/operation-changes.ts'
import type { OperationLog } from '../rotation/operation-log.ts'
import type { RotationEngine } from '../rotation/rotation-engine.ts'
import { type Runtime, timestamp } from '../runtime.ts'
import type { CallOptions } from '../store/secret-store.ts'
import type { RunCall } from './bind-keks.ts'
import type { FollowRotationOptions, RotationCommandOptions, VaultRotations } from './vault-rotations.ts'

/** What commands and looks at rotations take. */
export interface RotationParts {
  readonly log: OperationLog
  readonly engine: RotationEngine
  readonly trail: AuditTrail
  readonly runtime: Runtime
  /** Aborted when the vault closes. */
  readonly closing: AbortSignal
}

const ACTIONS: Readonly<Record<OperationVerb, AuditAction>> = {
  pause: 'pause_rotation',
  resume: 'resume_rotation',
  cancel: 'cancel_rotation',
  retryFailed: 'retry_rotation',
}
const FINAL = new Set(['completed', 'failed', 'cancelled'])

/** Binds the operations of a domain to a vault's way of running calls, with their arguments checked. */
export function bindRotations(parts: RotationParts, run: RunCall): VaultRotations {
  const { log, engine, trail, runtime } = parts
  const command =
    (verb: OperationVerb) =>
    (operationId: string, options: RotationCommandOptions = {}): Promise<RotationOperation> =>
      run(options, async (next) => {
        checkId(operationId)
        const { reason, actor } = options
        const entry = { action: ACTIONS[verb], reason, actor, details: { operationId } }
        const changed = await trail.around(entry, 'routine', async (note) => {
          const change = { log, at: () => timestamp(runtime), next }
          const record = await commandOperation(change, operationId, verb)
          note({ kekId: record.targetKekId, details: { status: record.status } })
          return record
        })
        engine.tell(changed)
        engine.wake()
        return (await log.find(operationId, next())) ?? unknown()
      })
  const get = (operationId: string, options?: CallOptions): Promise<RotationOperation | null> =>
    run(options, async (next) => {
      checkId(operationId)
      return await log.find(operationId, next())
    })
  return {
    get,
    list: (options = {}) =>
      run(options, async (next) => {
        const { limit = 20 } = options
        if (!Number.isSafeInteger(limit) || limit < 1 || limit > 100) {
          throw new TypeError('limit is a whole number from 1 to 100.')
        }
        return await log.list(limit, next())
      }),
    async *failures(operationId, options = {}) {
      // Opens with a call like any other, so that a closed vault is told.
      if ((await get(operationId, options)) !== null) yield* log.failures(operationId, options)
    },
    follow: (operationId, options = {}) => follow(parts, get, operationId, options),
    pause: command('pause'),
    resume: command('resume'),
    cancel: command('cancel'),
    retryFailed: command('retryFailed'),
  }
}

async function* follow(
  { runtime, closing }: RotationParts,
  get: (operationId: string, options: CallOptions) => Promise<RotationOperation | null>,
  operationId: string,
  { everyMs = 1_000, ...options }: FollowRotationOptions,
): AsyncGenerator<RotationOperation> {
  if (!Number.isFinite(everyMs) || everyMs < 50 || everyMs > 60_000) {
    throw new TypeError('everyMs is a number of milliseconds from 50 to 60,000.')
  }
  let told = ''
  for (;;) {
    const operation = (await get(operationId, options)) ?? unknown()
    const text = JSON.stringify(operation)
    if (text !== told) yield operation
    told = text
    if (FINAL.has(operation.status)) return
    await pause(runtime, everyMs, [closing, ...(options.signal === undefined ? [] : [options.signal])])
  }
}

/** Waits; ends early when one of the signals is aborted. */
async function pause(runtime: Runtime, delayMs: number, signals: readonly AbortSignal[]): Promise<void> {
  await new Promise<void>((resolve) => {
    const end = (): void => {
      timer.cancel()
      for (const signal of signals) signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = runtime.timer(end, delayMs)
    for (const signal of signals) signal.addEventListener('abort', end)
    if (signals.some(({ aborted }) => aborted)) end()
  })
}

function checkId(operationId: unknown): void {
  if (typeof operationId !== 'string') throw new TypeError('The id of an operation is text.')
}

function unknown(): never {
  const message = 'There is no rotation with this id. vault.rotations.list() lists those that are known.'
  throw new LifecycleError('ERR_ROTATION_UNKNOWN', message)
}

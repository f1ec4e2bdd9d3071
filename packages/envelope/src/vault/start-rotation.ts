import { LifecycleError } from '../errors.ts'
import type { AuditTrail } from '../lifecycle/audit-trail.ts'
import { currentKekId, type KeyringDocument } from '../lifecycle/keyring-document.ts'
import type { KeyringState } from '../lifecycle/keyring-state.ts'
import type { Membership } from '../lifecycle/membership.ts'
import { STATE_LOST_MESSAGE } from '../lifecycle/readiness.ts'
import type { OperationLog } from '../rotation/operation-log.ts'
import type { OperationDraft, RotationEngine } from '../rotation/rotation-engine.ts'
import type { CallOptions } from '../store/secret-store.ts'
import type { RotateOptions, RotateResult } from './secret-vault.ts'

/** What starting a rotation takes. */
export interface RotationStart {
  readonly state: KeyringState
  readonly membership: Membership
  readonly log: OperationLog
  readonly engine: RotationEngine
  readonly trail: AuditTrail
}

/**
 * Begins a rotation towards the KEK that the fleet is on its way to, unless one is active.
 *
 * @param next - Options for each store call.
 * @throws LifecycleError `ERR_KEYRING_STATE_LOST`, `ERR_KEK_COMPROMISED`, `ERR_PROMOTION_BLOCKED`.
 */
export async function startRotation(
  { state, membership, log, engine, trail }: RotationStart,
  options: RotateOptions,
  next: () => CallOptions,
): Promise<RotateResult> {
  const settings = checkedSettings(options)
  const snapshot = await state.refresh(next())
  if (snapshot === null) throw new LifecycleError('ERR_KEYRING_STATE_LOST', STATE_LOST_MESSAGE)
  const acknowledged = settings.dryRun || options.acknowledgeCompromised === true
  checkAcknowledged(snapshot.document, acknowledged)
  const { pending, verdict } = await membership.survey(next())
  if (verdict.kind === 'blocked' && !settings.dryRun) {
    const message = `The KEK this instance wishes does not become current. ${verdict.reasons.join(' ')}`
    throw new LifecycleError('ERR_PROMOTION_BLOCKED', message, { reasons: verdict.reasons })
  }
  const target = pending?.kekId ?? currentKekId(snapshot.document)
  const waitingFor = settings.dryRun ? [] : (pending?.waitingFor ?? [])
  const draft = engine.draft({ targetKekId: target, waitingFor, ...settings })
  const { reason, actor } = options
  const entry = {
    action: 'rotate',
    kekId: target,
    epoch: snapshot.document.epoch,
    reason,
    actor,
  } as const
  const active = await trail.around(entry, 'routine', async (note) => {
    const begun = await log.begin(draft, next())
    note({ details: { operationId: begun.id, started: begun.id === draft.id, dryRun: begun.dryRun } })
    return begun
  })
  engine.wake()
  return { id: active.id, started: active.id === draft.id, waitingFor: active.waitingFor }
}

/** @throws TypeError for a setting out of its bounds. */
function checkedSettings(
  options: RotateOptions,
): Pick<OperationDraft, 'ratePerSecond' | 'concurrency' | 'dryRun' | 'pauseAfterMs'> {
  const { ratePerSecond = null, concurrency = 1, dryRun = false, pauseAfterMs = 300_000 } = options
  if (ratePerSecond !== null && !(Number.isFinite(ratePerSecond) && ratePerSecond > 0)) {
    throw new TypeError('ratePerSecond is a positive number.')
  }
  if (!Number.isSafeInteger(concurrency) || concurrency < 1 || concurrency > 8) {
    throw new TypeError('concurrency is a whole number from 1 to 8.')
  }
  if (typeof dryRun !== 'boolean') throw new TypeError('dryRun is true or false.')
  if (!(pauseAfterMs >= 0 && pauseAfterMs <= 86_400_000)) {
    throw new TypeError('pauseAfterMs is a number of milliseconds from 0 to 86,400,000.')
  }
  return { ratePerSecond, concurrency, dryRun, pauseAfterMs }
}

/** Re-wrapping is no answer to a KEK that others know; who asks for it must know that. */
function checkAcknowledged({ keks }: KeyringDocument, isAcknowledged: boolean): void {
  const known = Object.entries(keks).filter(
    ([, kek]) => kek.compromisedAt !== null && kek.state !== 'retired',
  )
  if (isAcknowledged || known.length === 0) return
  const ids = known.map(([id]) => `"${id}"`).join(', ')
  throw new LifecycleError(
    'ERR_KEK_COMPROMISED',
    `KEK ${ids} is marked compromised. Re-wrapping makes no secret under it secret again: replace the credentials, then rotate ` +
      'with acknowledgeCompromised.',
  )
}

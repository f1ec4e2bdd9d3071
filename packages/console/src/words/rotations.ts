import type { Rotation } from '../api/types.ts'
import type { BadgeLook } from '../design/feedback.tsx'

const STATUS_LABELS: Readonly<Record<Rotation['status'], string>> = {
  running: 'Running',
  paused: 'Paused',
  completed: 'Completed',
  failed: 'Ended with failures',
  cancelled: 'Cancelled',
}

/** What an operation ends with when some secrets could not be re-wrapped; every other error has stopped it before its end. */
const LEFT_SOME = 'ERR_DECRYPT_FAILED'

/** Whether a rotation has looked at everything, with or without failures. */
export function hasLookedAtAll({ status, last_error }: Rotation): boolean {
  return status === 'completed' || (status === 'failed' && last_error?.code === LEFT_SOME)
}

export function statusLabel(rotation: Rotation): string {
  const isStopped = rotation.status === 'failed' && !hasLookedAtAll(rotation)
  return isStopped ? 'Stopped by an error' : STATUS_LABELS[rotation.status]
}

export const STATUS_LOOKS: Readonly<Record<Rotation['status'], BadgeLook>> = {
  running: 'accent',
  paused: 'warn',
  completed: 'ok',
  failed: 'bad',
  cancelled: '',
}

/** What each check that a quarantined secret did not pass means, and what to do with the secret. */
const QUARANTINE: Readonly<Record<string, string>> = {
  kek_unknown: 'No instance at work holds its KEK. Add the KEK back, then try again.',
  kek_mismatch: 'Its KEK is held with other bytes. Correct the key source, then try again.',
  kek_not_allowed: 'Its KEK may not be used there. Resume it or correct the key source, then try again.',
  wrap_corrupt: 'Its wrapped DEK was altered. Restore the record from a backup, or replace the value.',
  malformed: 'Its wrap text cannot be read. Restore the record from a backup, or replace the value.',
  unsupported: 'Its form is one that this version does not know. Update the service, then try again.',
  too_large: 'It is larger than any envelope. Restore the record from a backup, or replace the value.',
  commitment_mismatch: 'It belongs to another name or context. Restore the record, or replace the value.',
  payload_corrupt: 'Its value was altered. Restore the record from a backup, or replace the value.',
  metadata_damaged: 'Its metadata is damaged. Restore the record, or delete the secret and store it again.',
}

export function quarantineAdvice(reason: string): string {
  return QUARANTINE[reason] ?? 'Restore the record from a backup, replace the value, or delete the secret.'
}

import type { AuditEvent } from '../api/types.ts'

type Details = AuditEvent['details']

/** What came of a change that was carried out and has changed nothing. */
const UNDONE: Readonly<Record<string, string>> = {
  conflict: ': it had changed meanwhile',
  missing: ': there was none',
}

const TITLES: Readonly<Record<string, (kekId: string, details: Details) => string>> = {
  promote: (id) => `Promotion of ${id}`,
  suspend: (id) => `Suspension of ${id}`,
  resume: (id) => `${id} resumed`,
  retire: (id) => `Retirement of ${id}`,
  reactivate: (id) => `${id} made current once more`,
  adopt: () => 'Keyring document made anew from the records',
  confirm_store: () => 'Store confirmed',
  mark_compromised: (id) => `${id} marked compromised`,
  record_escrow: (id) => `Escrow of ${id} recorded`,
  rotate: (id, { dryRun }) => `${dryRun === true ? 'Dry run' : 'Rotation'} to ${id} started`,
  pause_rotation: (id) => `Rotation to ${id} paused`,
  resume_rotation: (id) => `Rotation to ${id} resumed`,
  cancel_rotation: (id) => `Rotation to ${id} cancelled`,
  retry_rotation: (id) => `Quarantine of the rotation to ${id} tried again`,
  reload: () => 'Key source loaded again',
  put_secret: (_, { name, outcome }) => `Storing of secret ${name}${UNDONE[`${outcome}`] ?? ''}`,
  delete_secret: (_, { name, outcome }) => `Deletion of secret ${name}${UNDONE[`${outcome}`] ?? ''}`,
}

export function titleOf({ action, kek_id, details }: AuditEvent): string {
  return TITLES[action]?.(kek_id ?? 'a KEK', details) ?? action.replaceAll('_', ' ')
}

import type { AuditAction, AuditTrail } from '../lifecycle/audit.ts'
import { checkNames } from '../store/limits.ts'
import type { CallOptions } from '../store/secret-store.ts'
import type { AuditNotes } from './secret-vault.ts'

/** A change of one secret. */
interface SecretChange {
  readonly action: AuditAction
  readonly name: string
  /** `undefined` for one that nobody wants recorded. */
  readonly audit: AuditNotes | undefined
}

/**
 * Makes a change of a secret, recorded before and after if that is asked for.
 *
 * @throws TypeError for a name that is none. LifecycleError `ERR_AUDIT_UNAVAILABLE`; nothing was written.
 */
export function auditedWrite<T extends { readonly outcome: string }>(
  trail: AuditTrail,
  { action, name, audit }: SecretChange,
  { signal, timeoutMs }: CallOptions,
  change: () => Promise<T>,
): Promise<T> {
  if (audit === undefined) return change()
  checkNames([name])
  const { actor, reason } = audit
  const entry = { action, actor, reason, details: { name } }
  const options = { ...(signal && { signal }), ...(timeoutMs !== undefined && { timeoutMs }) }
  return trail.around(
    entry,
    'destructive',
    async (note) => {
      const result = await change()
      note({ details: { outcome: result.outcome } })
      return result
    },
    options,
  )
}

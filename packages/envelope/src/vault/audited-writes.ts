import type { AuditAction, AuditNotes } from '../lifecycle/audit.ts'
import type { AuditOutcome, AuditTrail } from '../lifecycle/audit-trail.ts'
import type { Runtime } from '../runtime.ts'
import { checkNames } from '../store/limits.ts'
import type { CallOptions } from '../store/secret-store.ts'
import { Deadline } from './deadline.ts'
import type { Records } from './records.ts'

/** What records changes, and the clock that bounds it. */
interface Auditing {
  readonly trail: AuditTrail
  readonly runtime: Runtime
}

/** A change of one secret. */
interface SecretChange {
  readonly action: AuditAction
  readonly name: string
  /** `undefined` for one that nobody wants recorded. */
  readonly audit: AuditNotes | undefined
}

/** The writes of some records, each recorded before and after if its options ask for that. */
export function auditedWrites(records: Records, auditing: Auditing): Pick<Records, 'put' | 'delete'> {
  return {
    put: (name, value, { audit, ...own }) =>
      audited(auditing, { action: 'put_secret', name, audit }, own, (left) =>
        records.put(name, value, { ...own, ...left }),
      ),
    delete: (name, { audit, ...own }) =>
      audited(auditing, { action: 'delete_secret', name, audit }, own, (left) =>
        records.delete(name, { ...own, ...left }),
      ),
  }
}

/**
 * Makes one change.
 *
 * @param options - The time that recording and the change have together.
 * @param change - Is given the time that is left.
 * @throws TypeError for a name or notes of the wrong form. LifecycleError `ERR_AUDIT_UNAVAILABLE`; nothing was written.
 */
async function audited<T extends { readonly outcome: string }>(
  { trail, runtime }: Auditing,
  { action, name, audit }: SecretChange,
  options: CallOptions,
  change: (left: CallOptions) => Promise<T>,
): Promise<T> {
  if (audit === undefined) return await change(options)
  if (typeof audit !== 'object' || audit === null) {
    throw new TypeError('audit is an object that may hold an actor and a reason.')
  }
  checkNames([name])
  const { actor, reason } = audit
  const deadline = new Deadline(runtime, options)
  const work = async (note: (outcome: AuditOutcome) => void): Promise<T> => {
    const result = await change(deadline.next())
    note({ details: { outcome: result.outcome } })
    return result
  }
  return await trail.around(
    { action, actor, reason, details: { name } },
    'destructive',
    work,
    deadline.next(),
  )
}

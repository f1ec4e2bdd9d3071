import type { AuditNotes } from '@talos/envelope'
import { Problem, type ProblemCode } from '../problem.ts'

/**
 * The vault answers an argument of the wrong form with a TypeError. For calls with an argument that no schema can check: a
 * TypeError of any other call is a fault, for adapters throw them too, such as that of a `fetch` that failed.
 */
export async function orRefuse<T>(code: ProblemCode, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    if (error instanceof TypeError) throw new Problem(code, { cause: error })
    throw error
  }
}

/** What the audit is told of a request. */
export function auditNotes(actor: string | null, reason: string | undefined): AuditNotes {
  return { ...(actor === null ? {} : { actor }), ...(reason === undefined ? {} : { reason }) }
}

import { Problem, type ProblemCode } from '../problem.ts'

/** The vault answers an argument of the wrong form with a TypeError. Here every argument comes from the client. */
export async function orRefuse<T>(code: ProblemCode, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    if (error instanceof TypeError) throw new Problem(code, { cause: error })
    throw error
  }
}

/** What the audit is told of a request. */
export function auditNotes(
  actor: string | null,
  reason: string | undefined,
): { readonly actor?: string; readonly reason?: string } {
  return { ...(actor === null ? {} : { actor }), ...(reason === undefined ? {} : { reason }) }
}

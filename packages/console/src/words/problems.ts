import type { ApiProblem } from '../api/problem.ts'

/** What an operator does about a problem, where the server's own words do not say it. */
const ADVICE: Readonly<Record<string, string>> = {
  UNREACHABLE: 'Check the network and whether the service runs; the console goes on trying.',
  FORBIDDEN: 'Sign in with a token that has it.',
  TOO_MANY_FAILURES: 'Wait a minute, then sign in with a valid token.',
  EPOCH_CHANGED: 'Somebody else changed the keys meanwhile. The page shows the new state: decide again.',
  NOT_JSON: 'Something between this page and the service answers in its place.',
  HTTP_404: 'The service does not offer this. Is it a recent version?',
  HTTP_405: 'The service does not offer this. Is it a recent version?',
  INTERNAL: 'Look into the log of the service.',
  CONTEXT_REQUIRED: '',
}

export function adviceFor({ code, requiredRole }: ApiProblem): string {
  if (requiredRole !== null) return `It needs the role “${requiredRole}”. ${ADVICE['FORBIDDEN']}`
  return ADVICE[code] ?? ''
}

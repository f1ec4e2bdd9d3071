import { isEnvelopeError } from '../errors.ts'
import type { VaultEvent } from '../events.ts'
import type { Runtime } from '../runtime.ts'
import type { Secret } from './secret.ts'

/** What is told of one call of a vault. */
type CallEvent = Extract<VaultEvent, { readonly type: 'call' }>

/** The calls that are told. */
export type CallOperation = CallEvent['operation']

/** Who hears of calls; `null` for nobody, which makes telling free. */
export interface CallTeller {
  readonly emit: ((event: CallEvent) => void) | null
  readonly runtime: Runtime
}

/**
 * Makes a call and tells how it went and how long it took. Without a listener it is the call and nothing else: no clock is
 * read and no promise is added.
 *
 * @param outcomeOf - One word for the answer. It must not hold anything of the secret.
 * @returns The promise of the call itself where nobody listens.
 */
export function told<T>(
  teller: CallTeller,
  operation: CallOperation,
  outcomeOf: (answer: T) => string,
  call: () => Promise<T>,
): Promise<T> {
  const { emit } = teller
  return emit === null ? call() : measured(emit, teller.runtime, operation, outcomeOf, call)
}

async function measured<T>(
  emit: (event: CallEvent) => void,
  runtime: Runtime,
  operation: CallOperation,
  outcomeOf: (answer: T) => string,
  call: () => Promise<T>,
): Promise<T> {
  const startMs = runtime.monotonicMs()
  let outcome = 'unexpected'
  try {
    const answer = await call()
    outcome = outcomeOf(answer)
    return answer
  } catch (error) {
    outcome = outcomeOfError(error)
    throw error
  } finally {
    emit({ type: 'call', operation, outcome, durationMs: runtime.monotonicMs() - startMs })
  }
}

/** A message may quote what the caller gave; a code never does. */
function outcomeOfError(error: unknown): string {
  return isEnvelopeError(error) ? error.code : 'unexpected'
}

/** The word that the answer itself carries. */
export function toldOutcome({ outcome }: { readonly outcome: string }): string {
  return outcome
}

/** For a read of one secret. */
export function toldFound(secret: Secret | null): 'found' | 'missing' {
  return secret === null ? 'missing' : 'found'
}

/** For a read of several: `partly` when some are missing and others not. None asked is none missing. */
export function toldAllFound(secrets: readonly (Secret | null)[]): 'found' | 'partly' | 'missing' {
  const missing = secrets.filter((secret) => secret === null).length
  if (missing === 0) return 'found'
  return missing === secrets.length ? 'missing' : 'partly'
}

/** For what has one outcome when it does not fail. */
export function toldDone(): 'done' {
  return 'done'
}

import { type ErrorCode, isEnvelopeError, SourceError, type SourceErrorCode } from '../../errors.ts'
import type { Runtime } from '../../runtime.ts'
import type { CallOptions } from '../../store/secret-store.ts'

const DEFAULT_TIMEOUT_MS = 10_000
/** What a timer takes; more would end at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1
/** Codes as Node, PostgreSQL and others write them: they name a kind of error and hold nothing of the caller's. */
const PLAIN_CODE = /^[A-Z0-9_]{2,40}$/

/**
 * Makes one call to a declared source and gives it up when it takes too long, whether the source heeds its signal or not.
 *
 * @param name - Of the source.
 * @param ask - The call.
 * @param options - When to give it up.
 * @throws SourceError whatever the source threw: retryable, unless it is an error of this library that is not.
 */
export function askSource<T>(
  runtime: Runtime,
  name: string,
  ask: (options: CallOptions) => Promise<T>,
  { signal, timeoutMs = DEFAULT_TIMEOUT_MS }: CallOptions,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const ending = new AbortController()
    const finish = (): void => {
      timer.cancel()
      signal?.removeEventListener('abort', onAbort)
    }
    const giveUp = (why: string): void => {
      finish()
      ending.abort()
      const message = `The declared source "${name}" ${why}.`
      reject(new SourceError('ERR_SOURCE_FAILED', message, { source: name, retryable: true }))
    }
    const onAbort = (): void => giveUp('was not waited for: the call was aborted')
    const late = (): void => giveUp(`did not answer within ${Math.round(timeoutMs)} ms`)
    const timer = runtime.timer(late, Math.min(timeoutMs, LONGEST_TIMER_MS))
    if (signal?.aborted === true) return onAbort()
    signal?.addEventListener('abort', onAbort)
    const failed = (error: unknown): void => {
      finish()
      reject(explain(name, error))
    }
    // What the source throws before it returns a promise counts like what it throws later.
    Promise.resolve()
      .then(() => ask({ signal: ending.signal, timeoutMs }))
      .then((answer) => {
        finish()
        resolve(answer)
      })
      .catch(failed)
  })
}

/** Says that a source answered what it must not. */
export function brokenContract(name: string, rule: string): SourceError {
  const message = `The declared source "${name}" answered something its contract rules out: ${rule}.`
  return new SourceError('ERR_SOURCE_CONTRACT', message, { source: name })
}

function explain(source: string, error: unknown): SourceError {
  if (isEnvelopeError(error)) {
    const { code, message, retryable } = error
    if (isSourceCode(code)) return new SourceError(code, message, { source, retryable, cause: error.cause })
    // Its text may quote a driver, and a certificate is kept and passed on: the error itself is the cause.
    const text = `The declared source "${source}" failed with ${code}${saidCode(error.cause)}.`
    return new SourceError('ERR_SOURCE_FAILED', text, { source, retryable, cause: error })
  }
  // The text of an error that is not ours may hold anything.
  const text = `The declared source "${source}" threw an error of its own${saidCode(error)}.`
  return new SourceError('ERR_SOURCE_FAILED', text, { source, retryable: true, cause: error })
}

function saidCode(error: unknown): string {
  const { code } = (error ?? {}) as { readonly code?: unknown }
  return typeof code === 'string' && PLAIN_CODE.test(code) ? ` (code ${code})` : ''
}

function isSourceCode(code: ErrorCode): code is SourceErrorCode {
  return code.startsWith('ERR_SOURCE_')
}

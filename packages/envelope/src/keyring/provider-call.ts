import { type EnvelopeError, isEnvelopeError, ProviderError, type ProviderErrorCode } from '../errors.ts'
import type { KeyProviderCallOptions, ProviderCallOptions } from './key-provider.ts'

const DEFAULT_TIMEOUT_MS = 10_000
/** What a timer takes; more would end at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/**
 * Makes one call to a key provider and gives it up when it takes too long, whether the provider heeds its signal or not.
 *
 * @param kekId - For messages.
 * @param call - The call.
 * @param options - When to give it up.
 * @returns The answer. One that comes too late is overwritten with zeros: it may be a DEK.
 * @throws ProviderError whatever the provider threw.
 */
export function callProvider(
  kekId: string,
  call: (options: KeyProviderCallOptions) => Promise<unknown>,
  { signal, timeoutMs = DEFAULT_TIMEOUT_MS }: ProviderCallOptions,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const ending = new AbortController()
    let over = false
    const finish = (): void => {
      over = true
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    const giveUp = (why: string): void => {
      finish()
      ending.abort()
      reject(unavailable(kekId, why))
    }
    const onAbort = (): void => giveUp('was not waited for: the call was aborted')
    const timer = setTimeout(() => giveUp('did not answer in time'), Math.min(timeoutMs, LONGEST_TIMER_MS))
    timer.unref()
    if (signal?.aborted === true) return onAbort()
    signal?.addEventListener('abort', onAbort)
    const answered = (answer: unknown): void => {
      if (over) {
        overwrite(answer)
      } else {
        finish()
        resolve(answer)
      }
    }
    const failed = (error: unknown): void => {
      if (over) return
      finish()
      reject(explain(kekId, error))
    }
    // What the provider throws before it returns a promise counts like what it throws later.
    Promise.resolve()
      .then(() => call({ signal: ending.signal, timeoutMs }))
      .then(answered, failed)
  })
}

/**
 * Lets several calls share the time of one.
 *
 * @param options - When to give up all of them together.
 * @returns Gives the options of the next call.
 */
export function sharing(options: ProviderCallOptions): () => ProviderCallOptions {
  const endMs = performance.now() + (options.timeoutMs ?? DEFAULT_TIMEOUT_MS)
  return () => ({ ...options, timeoutMs: Math.max(1, endMs - performance.now()) })
}

/**
 * Overwrites an answer that is not used.
 *
 * @param answer - Whatever a provider answered.
 */
export function overwrite(answer: unknown): void {
  if (answer instanceof Uint8Array) answer.fill(0)
}

function unavailable(kekId: string, why: string): ProviderError {
  const message = `The key provider of KEK "${kekId}" ${why}. Nothing was written; try again.`
  return new ProviderError('ERR_KEY_PROVIDER_UNAVAILABLE', message, { kekId })
}

/** Errors of HTTP clients carry their request, and with it a DEK: only what a provider worded itself is passed on. */
function explain(kekId: string, error: unknown): ProviderError {
  if (!isEnvelopeError(error) || !isProviderCode(error)) {
    return unavailable(kekId, 'failed with an error that is not worded for operators')
  }
  return new ProviderError(error.code, `KEK "${kekId}": ${error.message}`, { kekId, cause: error })
}

function isProviderCode(error: EnvelopeError): error is EnvelopeError & { readonly code: ProviderErrorCode } {
  return error.code.startsWith('ERR_KEY_PROVIDER_')
}

import type { CallOptions } from '@talos/envelope'

const DEFAULT_TIMEOUT_MS = 10_000

/** Waits for a call that cannot be aborted no longer than the options say. */
export async function answered<T>(call: Promise<T>, options: CallOptions): Promise<T> {
  const { signal, timeoutMs = DEFAULT_TIMEOUT_MS } = options
  const timeout = AbortSignal.timeout(timeoutMs)
  const over = signal === undefined ? timeout : AbortSignal.any([signal, timeout])
  const { promise, reject } = Promise.withResolvers<never>()
  const giveUp = (): void => reject(over.reason)
  if (over.aborted) giveUp()
  over.addEventListener('abort', giveUp, { once: true })
  try {
    return await Promise.race([call, promise])
  } finally {
    over.removeEventListener('abort', giveUp)
  }
}

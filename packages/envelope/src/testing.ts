import type { Runtime, Timer } from './runtime.ts'
import type { SecretStore } from './store/secret-store.ts'
import { systemRuntime } from './vault/system-runtime.ts'

export type { Runtime, Timer } from './runtime.ts'
export type { VectorAnswer, VectorReport, VectorSubject } from './testing/run-vectors.ts'
export { runVectors } from './testing/run-vectors.ts'
export type {
  LocalVectorKek,
  RemoteVectorKek,
  VectorFile,
  VectorKek,
} from './testing/vector-file.ts'

/** A runtime whose clock stands still until it is told to move. */
export interface HeldClock {
  /** Give it to `openVault` as `runtime`, and its `monotonicMs` to a `MemoryStore`. */
  readonly runtime: Runtime
  /**
   * Moves the clock on and runs what falls due, in order, letting each callback's work come to rest before the next.
   *
   * @param milliseconds - How far.
   */
  advance(milliseconds: number): Promise<void>
  /** Lets work that waits for nothing but the event loop come to rest. */
  settle(): Promise<void>
}

const TURNS_TO_SETTLE = 60

/**
 * Makes a clock that stands still. Leases, heartbeats and rates then take no real time and no luck.
 *
 * @param start - The wall clock at the beginning, in milliseconds since 1970.
 */
export function heldClock(start = Date.UTC(2030, 0, 1)): HeldClock {
  const system = systemRuntime()
  let elapsedMs = 0
  let waiting: { readonly atMs: number; readonly callback: () => void }[] = []
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < TURNS_TO_SETTLE; turn += 1)
      await new Promise((resolve) => setImmediate(resolve))
  }
  const timer = (callback: () => void, delayMs: number): Timer => {
    // A delay of nothing is a turn of the event loop, which no clock holds.
    if (delayMs <= 0) return system.timer(callback, 0)
    const entry = { atMs: elapsedMs + delayMs, callback }
    waiting.push(entry)
    return {
      cancel: () => {
        waiting = waiting.filter((other) => other !== entry)
      },
    }
  }
  return {
    runtime: {
      now: () => start + elapsedMs,
      monotonicMs: () => elapsedMs,
      randomBytes: system.randomBytes,
      timer,
      processName: 'test/1',
    },
    async advance(milliseconds) {
      const endMs = elapsedMs + milliseconds
      for (;;) {
        await settle()
        const [next] = waiting.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)
        if (next === undefined) break
        elapsedMs = Math.max(elapsedMs, next.atMs)
        waiting = waiting.filter((other) => other !== next)
        next.callback()
      }
      elapsedMs = endMs
      await settle()
    },
    settle,
  }
}

/** One call on its way to a store. */
export interface InterceptedCall {
  /** 1 for the first call, one more with each. */
  readonly number: number
  readonly method: keyof SecretStore
  readonly args: readonly unknown[]
  /** Makes the call. An interceptor that throws instead plays an outage, one that throws afterwards a lost answer. */
  proceed(): Promise<unknown>
}

/**
 * Puts something between a vault and its store: to count calls, to let them fail before or after they took effect, to do
 * something else in between.
 *
 * @param store - The store that does the work.
 * @param intercept - Is given every call; what it returns or throws is the answer.
 */
export function interceptStore(
  store: SecretStore,
  intercept: (call: InterceptedCall) => Promise<unknown>,
): SecretStore {
  let calls = 0
  const through = (method: keyof SecretStore) => {
    return (...args: readonly unknown[]): Promise<unknown> => {
      calls += 1
      const target = store[method] as (...given: unknown[]) => Promise<unknown>
      return intercept({ number: calls, method, args, proceed: () => target.apply(store, [...args]) })
    }
  }
  const intercepted: Record<Exclude<keyof SecretStore, 'shards'>, unknown> = {
    identify: through('identify'),
    read: through('read'),
    scan: through('scan'),
    write: through('write'),
    census: through('census'),
    readDocument: through('readDocument'),
    writeDocument: through('writeDocument'),
    listDocuments: through('listDocuments'),
    // A store that cannot be divided must not look as if it could.
    ...(store.shards === undefined ? {} : { shards: through('shards') }),
  }
  return intercepted as SecretStore
}

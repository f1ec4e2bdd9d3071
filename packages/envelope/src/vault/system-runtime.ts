import { hostname } from 'node:os'
import { performance } from 'node:perf_hooks'
import { pid } from 'node:process'
import { clearImmediate, clearTimeout, setImmediate, setTimeout } from 'node:timers'
import { drawBytes } from '../crypto/random.ts'
import type { Runtime } from '../runtime.ts'

/** The process's own clocks, randomness and timers. */
export function systemRuntime(): Runtime {
  return {
    now: () => Date.now(),
    monotonicMs: () => performance.now(),
    randomBytes: drawBytes,
    timer(callback, delayMs) {
      // Work in the background must yield even where nothing is to be waited for; a timer of 0 ms would cost 1 ms each time.
      if (delayMs <= 0) {
        const immediate = setImmediate(callback)
        return { cancel: () => clearImmediate(immediate) }
      }
      const timeout = setTimeout(callback, delayMs)
      timeout.unref()
      return { cancel: () => clearTimeout(timeout) }
    },
    processName: `${hostname()}/${pid}`,
  }
}

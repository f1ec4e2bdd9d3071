const EVERY_MS = 20
/** What the work of a test takes in one turn is no stall. */
const LEAST_MS = 500

let totalMs = 0
let lastMs = performance.now()
setInterval(() => {
  const now = performance.now()
  const lateMs = now - lastMs - EVERY_MS
  if (lateMs > LEAST_MS) totalMs += lateMs
  lastMs = now
}, EVERY_MS).unref()

/** Begins to count the time in which this process was not let run: for half a second or more at a time. */
export function stallsOfThisProcess(): () => number {
  const before = totalMs
  return () => totalMs - before
}

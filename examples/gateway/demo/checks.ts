import { setTimeout as pause } from 'node:timers/promises'

/** Something the demo promised did not hold. */
export class DemoFailure extends Error {}

export function check(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new DemoFailure(otherwise)
}

/** Fails with the first of some differences. */
export function checkSame(differences: readonly string[]): void {
  const more = differences.length > 5 ? `, and ${differences.length - 5} more` : ''
  check(differences.length === 0, `${differences.slice(0, 5).join(', ')}${more}`)
}

/**
 * Asks again and again until there is an answer.
 *
 * @param probe - Returns `undefined` for "not yet".
 * @throws DemoFailure when there is none in time; `what` says what was waited for.
 */
export async function until<T>(
  what: string,
  timeoutMs: number,
  probe: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const answer = await probe()
    if (answer !== undefined) return answer
    if (performance.now() > deadline) throw new DemoFailure(`waited ${timeoutMs / 1000} s in vain: ${what}`)
    await pause(25)
  }
}

/** Calls `run` for every item, `width` at a time. */
export async function inParallel<T>(
  items: readonly T[],
  width: number,
  run: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values()
  const worker = async (): Promise<void> => {
    for (const item of queue) await run(item)
  }
  await Promise.all(Array.from({ length: width }, worker))
}

/** One of the things that are measured against each other. */
export interface Contender {
  readonly name: string
  /** Does the work. A promise is awaited before the next call. */
  readonly run: () => unknown
  /** How many values one call works on. @defaultValue 1 */
  readonly values?: number
}

/** For each contender by name, its microseconds per value, one for each round. */
export type Times = ReadonlyMap<string, readonly number[]>

/** Leaves nothing of the contender before to pay for by the next one. */
export type CleanUp = () => void

/** How long a contender works before it is measured, and in each round. */
export interface Pace {
  readonly rounds: number
  readonly warmUpMs: number
  readonly batchMs: number
}

/** A contender, and how many calls fill one batch. */
interface Entrant extends Contender {
  readonly calls: number
  readonly times: number[]
}

/**
 * Measures contenders in interleaved rounds, A B C A B C and so on: a neighbour that takes a processor away
 * for a second then slows down all of them, in a few rounds, and not one of them for good.
 *
 * @param contenders - With different names.
 * @param pace - How many rounds and how long.
 * @param cleanUp - Called before every batch. Collecting garbage belongs here: otherwise it happens to the same
 * contender in every round, whoever made it.
 * @returns Their times.
 */
export async function measureRounds(
  contenders: readonly Contender[],
  pace: Pace,
  cleanUp: CleanUp = () => {},
): Promise<Times> {
  const entrants: Entrant[] = []
  for (const contender of contenders) {
    entrants.push({ ...contender, calls: await warmUp(contender, pace), times: [] })
  }
  for (let round = 0; round < pace.rounds; round += 1) {
    for (const { run, calls, times, values = 1 } of entrants) {
      cleanUp()
      times.push((await timeCalls(run, calls)) / calls / values)
    }
  }
  return new Map(entrants.map(({ name, times }) => [name, times]))
}

/** Lets the compiler see the hot path, and finds out how many calls fill a batch. */
async function warmUp({ run }: Contender, { warmUpMs, batchMs }: Pace): Promise<number> {
  let calls = 1
  let spent = 0
  for (;;) {
    const time = await timeCalls(run, calls)
    spent += time
    if (spent >= warmUpMs * 1000) return Math.max(1, Math.round((batchMs * 1000 * calls) / time))
    if (time < batchMs * 1000) calls *= 2
  }
}

/** Microseconds for so many calls. Awaiting what is no promise would be charged to those that are fast. */
async function timeCalls(run: () => unknown, calls: number): Promise<number> {
  const start = performance.now()
  const first = run()
  if (first instanceof Promise) {
    await first
    for (let call = 1; call < calls; call += 1) await run()
  } else {
    for (let call = 1; call < calls; call += 1) run()
  }
  return (performance.now() - start) * 1000
}

import { median } from './statistics.ts'

/** One of the things that are measured against each other. */
export interface Contender {
  readonly name: string
  /** Does the work. A promise is awaited before the next call. */
  readonly run: () => unknown
  /** How many values one call works on. @defaultValue 1 */
  readonly values?: number
  /** Puts into place what a batch needs, before each one; not timed. @defaultValue nothing to be done */
  readonly prepare?: () => unknown
  /** How many calls make a batch. @defaultValue as many as fill the time that the pace gives a batch */
  readonly calls?: number
  /**
   * Whether each call is timed by itself, in turn with those of the other contenders that are, and a batch tells their median
   * (p50) instead of their mean. What a call of microseconds takes depends on how long the processors were idle before it.
   *
   * @defaultValue false
   */
  readonly p50?: boolean
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
interface Entrant {
  readonly contender: Contender
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
    entrants.push({ contender, calls: await warmUp(contender, pace), times: [] })
  }
  const inTurn = entrants.filter(({ contender }) => contender.p50 === true)
  for (let round = 0; round < pace.rounds; round += 1) {
    for (const { contender, calls, times } of entrants) {
      if (contender.p50 === true) continue
      await contender.prepare?.()
      cleanUp()
      times.push((await timeCalls(contender.run, calls)) / calls / (contender.values ?? 1))
    }
    if (inTurn.length > 0) await timeInTurn(inTurn, cleanUp)
  }
  return new Map(entrants.map(({ contender, times }) => [contender.name, times]))
}

/**
 * Lets the compiler see the hot path, and finds out how many calls fill a batch. Where their number is given, one batch has
 * to do: it may be long.
 */
async function warmUp(contender: Contender, { warmUpMs, batchMs }: Pace): Promise<number> {
  await contender.prepare?.()
  if (contender.calls !== undefined) {
    await timeCalls(contender.run, contender.calls)
    return contender.calls
  }
  let calls = 1
  let spent = 0
  for (;;) {
    const time = await timeCalls(contender.run, calls)
    spent += time
    if (spent >= warmUpMs * 1000) return Math.max(1, Math.round((batchMs * 1000 * calls) / time))
    if (time < batchMs * 1000) calls *= 2
  }
}

/**
 * One round of contenders whose calls take turns, until each has had its calls. Each turn is in another order: what a call takes
 * also depends on the one before it, and none may always come behind a write that let the processor sleep.
 */
async function timeInTurn(entrants: readonly Entrant[], cleanUp: CleanUp): Promise<void> {
  const single = new Map<Entrant, number[]>()
  for (const entrant of entrants) {
    await entrant.contender.prepare?.()
    single.set(entrant, [])
  }
  cleanUp()
  const turns = Math.max(...entrants.map(({ calls }) => calls))
  for (let turn = 0; turn < turns; turn += 1) {
    for (const [{ contender, calls }, times] of shuffled([...single], turn)) {
      if (turn < calls) times.push(await timeCalls(contender.run, 1))
    }
  }
  for (const [{ contender, times }, values] of single) times.push(median(values) / (contender.values ?? 1))
}

/** The same in another order for each turn, and the same one for the same turn (Fisher and Yates, with Lehmer's generator). */
function shuffled<T>(items: readonly T[], turn: number): readonly T[] {
  const order = [...items]
  let state = ((turn + 1) * 48_271) % 2_147_483_647
  for (let last = order.length - 1; last > 0; last -= 1) {
    state = (state * 48_271) % 2_147_483_647
    const other = state % (last + 1)
    ;[order[last], order[other]] = [order[other] as T, order[last] as T]
  }
  return order
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

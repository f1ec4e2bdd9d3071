import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { LEASE_MS } from './instances.ts'
import { CUTS, type Cut, GRACE_MS, Lane, ONE_SHARD } from './kills.ts'
import type { StoreName } from './places.ts'
import type { Death } from './protocol.ts'
import { Rotators } from './rotators.ts'

/** Most of their time the lanes wait for leases. */
const LANES = 8
const STORES: readonly StoreName[] = ['sqlite', 'postgres', 'redis']
let allKills = 0

afterAll(() => console.log(`${allKills} kills in all`))

describe.each(STORES)('on %s', (store) => {
  let rotators: Rotators | null = null
  let lanes: readonly Lane[] = []

  beforeAll(async () => {
    const started = await Rotators.start(store, LANES)
    rotators = started
    lanes = await Promise.all(Array.from({ length: LANES }, () => Lane.open(store, started)))
  }, 60_000)

  afterAll(async () => {
    await rotators?.close()
    await Promise.all(lanes.map((lane) => lane.close()))
  })

  test.each(store === 'sqlite' ? [ONE_SHARD, ...CUTS] : CUTS)(
    'a rotation that is killed at any store call is carried on: $title',
    async (cut) => {
      const { kills, tookMs, faults } = await killAtEveryCall(lanes, cut)
      allKills += kills
      console.log(
        `${store}, ${cut.title}: ${kills} kills, ${faults.length} faults; the end ${Math.round(median(tookMs))} ms after the kill, ` +
          `at most ${Math.round(Math.max(...tookMs))} (of ${LEASE_MS + GRACE_MS})`,
      )
      expect(faults).toEqual([])
      expect(kills).toBeGreaterThan(10)
    },
    240_000,
  )
})

interface Kills {
  readonly kills: number
  /** From the kill to the end of the operation. */
  readonly tookMs: readonly number[]
  readonly faults: readonly string[]
}

async function killAtEveryCall(lanes: readonly Lane[], cut: Cut): Promise<Kills> {
  // How many calls there are depends on what happens at the same time.
  const whole = await Promise.all(lanes.slice(0, 3).map((lane) => lane.run(cut, null)))
  const calls = Math.max(...whole.map((each) => each.calls))
  const deaths = deathsOf(cut, calls)
  const faults = whole.flatMap((each) => each.faults.map((fault) => `not killed: ${fault}`))
  let kills = 0
  const tookMs: number[] = []
  const work = async (lane: Lane): Promise<void> => {
    for (let death = deaths.shift(); death !== undefined; death = deaths.shift()) {
      const { call, when } = death
      const after = await lane.run(cut, death)
      faults.push(...after.faults.map((fault) => `killed ${when} call ${call}: ${fault}`))
      if (!after.killed) continue
      kills += 1
      tookMs.push(after.tookMs)
    }
  }
  await Promise.all(lanes.map(work))
  return { kills, tookMs, faults }
}

function deathsOf(cut: Cut, calls: number): Death[] {
  const both = Array.from({ length: calls }, (_, n) => n + 1).flatMap((call): Death[] => [
    { call, when: 'before' },
    { call, when: 'after' },
  ])
  return cut.deaths === 'both'
    ? both
    : both.filter(({ call, when }) => (call % 2 === 1) === (when === 'before'))
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1] ?? Number.NaN
}

import { setTimeout as pause } from 'node:timers/promises'
import { percentile } from '../measure/statistics.ts'
import { recordName } from '../stores/rotations.ts'
import type { Domain } from './domain.ts'
import type { Instance } from './instance.ts'

const PER_SECOND = 250
const REST_MS = 3_000
const WARM_UP_MS = 1_000
const SHARES = { p50: 0.5, p99: 0.99 } as const

/** The names of what {@link latencyFigures} finds out. */
export const LATENCY_FIGURES = ['otherProcess', 'sameProcess'].flatMap((where) =>
  Object.keys(SHARES).map((share) => `rotation/get/${where}/${share}`),
)

/**
 * Reads secrets at rest and during a rotation: from an instance beside the one that rotates, and from that one itself.
 *
 * @param instances - Two, and more that may have vaults open.
 * @returns How many times the time of a `get` at rest one takes during a rotation, at p50 and p99.
 */
export async function latencyFigures(
  domain: Domain,
  instances: readonly Instance[],
  rounds: number,
): Promise<Record<string, readonly number[]>> {
  const [rotating, serving] = instances as readonly [Instance, Instance]
  const figures: Record<string, number[]> = Object.fromEntries(LATENCY_FIGURES.map((name) => [name, []]))
  const name = (request: number): string => recordName((request * 7_919) % domain.records)
  for (let round = 0; round < rounds; round += 1) {
    for (const [where, reader] of [
      ['otherProcess', serving],
      ['sameProcess', rotating],
    ] as const) {
      await domain.prepare([rotating], instances)
      if (reader !== rotating) await reader.open(domain.settings('none'))
      await reader.load(name, PER_SECOND, pause(WARM_UP_MS))
      const rest = await reader.load(name, PER_SECOND, pause(REST_MS))
      const busy = await reader.load(name, PER_SECOND, domain.rotateBy([rotating]))
      const told = Object.entries(SHARES).map(([share, part]) => {
        const [before, during] = [percentile(rest, part), percentile(busy, part)]
        figures[`rotation/get/${where}/${share}`]?.push(during / before)
        return `${share} ${before.toFixed(2)} ms at rest, ${during.toFixed(2)} ms during a rotation`
      })
      console.error(`get, ${where}, ${busy.length} calls: ${told.join('; ')}`)
    }
  }
  return figures
}

import type { Comparison, Heat } from '../measure/report.ts'
import type { Targets } from '../measure/targets.ts'
import { PostgresLab } from '../stores/postgres-lab.ts'
import { Domain } from './domain.ts'
import { fleetComparisons, fleetHeat } from './fleets.ts'
import { Instance } from './instance.ts'
import { LATENCY_FIGURES, latencyFigures } from './latency.ts'
import { MEMORY_FIGURES, memoryFigures } from './memory.ts'
import { rateComparisons, rateHeat } from './rates.ts'

/** What has to hold, by name of the ratio or figure. */
export const ROTATION_TARGETS: Targets = {
  'rotation/rate/1M/100k': 0.85,
  'rotation/rate/100k/storeCalls': 0.8,
  'rotation/memory/1M-10k/MiB': { atMost: 40 },
  'rotation/memory/1M-10k/smallHeap/MiB': { atMost: 40 },
  'rotation/get/otherProcess/p50': { atMost: 1.5 },
  'rotation/get/otherProcess/p99': { atMost: 4 },
}

/** A rotation of a million secrets takes half a minute. */
const MOST_MEMORY_ROUNDS = 2

/**
 * Makes the heats of the suite one after the other, on a server of their own.
 *
 * @returns The heats.
 */
export async function* rotationHeats(): AsyncGenerator<Heat> {
  const lab = await PostgresLab.start()
  const instances = Array.from({ length: 4 }, () => new Instance())
  try {
    const small = await Domain.fill(lab, 10_000)
    const middle = await Domain.fill(lab, 100_000)
    yield fleetHeat(middle, instances)
    yield {
      title: '',
      contenders: [],
      comparisons: [],
      figures: (rounds) => latencyFigures(middle, instances, rounds),
    }
    await Promise.all(instances.splice(0).map((instance) => instance.stop()))
    const large = await Domain.fill(lab, 1_000_000)
    yield {
      ...rateHeat({ small, middle, large }),
      figures: (rounds) => memoryFigures(small, large, Math.min(rounds, MOST_MEMORY_ROUNDS)),
    }
    for (const { rotations } of [small, middle, large]) await rotations.close()
  } finally {
    await Promise.allSettled(instances.map((instance) => instance.stop()))
    await lab.stop()
  }
}

/** Lists the ratios of the whole suite. */
export function rotationComparisons(): readonly Comparison[] {
  return [...rateComparisons(), ...fleetComparisons()]
}

/** Names everything else that it finds out. */
export const ROTATION_FIGURES: readonly string[] = [...MEMORY_FIGURES, ...LATENCY_FIGURES]

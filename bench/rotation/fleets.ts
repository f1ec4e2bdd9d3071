import type { Comparison, Heat } from '../measure/report.ts'
import type { Contender } from '../measure/rounds.ts'
import type { Domain } from './domain.ts'
import type { Instance } from './instance.ts'

/**
 * The same rotation by one process, by several, and by the workers of pg-boss in three.
 *
 * @param instances - Four.
 * @returns One heat.
 */
export function fleetHeat(domain: Domain, instances: readonly Instance[]): Heat {
  const together = (name: string, count: number, runner: 'own' | 'pg-boss'): Contender => {
    const some = instances.slice(0, count)
    return {
      name,
      values: domain.records,
      calls: 1,
      prepare: () => domain.prepare(some, instances, runner),
      run: () => domain.rotateBy(some),
    }
  }
  const contenders = [
    together('1 process', 1, 'own'),
    together('2 processes', 2, 'own'),
    together('4 processes', 4, 'own'),
    together('3 of pg-boss', 3, 'pg-boss'),
  ]
  return { title: '', contenders, comparisons: fleetComparisons() }
}

/** Lists the ratios of {@link fleetHeat}. */
export function fleetComparisons(): readonly Comparison[] {
  const theirs = ['1 process']
  return [
    { name: 'rotation/processes/2/1', ours: ['2 processes'], theirs },
    { name: 'rotation/processes/4/1', ours: ['4 processes'], theirs },
    { name: 'rotation/processes/pgBoss3/1', ours: ['3 of pg-boss'], theirs },
  ]
}

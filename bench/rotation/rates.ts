import type { Comparison, Heat } from '../measure/report.ts'
import type { Contender } from '../measure/rounds.ts'
import type { Domain } from './domain.ts'
import { StoreCalls } from './store-calls.ts'

/** The domains that are compared, by their size. */
export interface Sizes {
  readonly small: Domain
  readonly middle: Domain
  readonly large: Domain
}

/**
 * Rotations of few, of many and of very many secrets by the engine of a vault, and the store calls of one of them alone.
 *
 * @returns One heat.
 */
export function rateHeat({ small, middle, large }: Sizes): Heat {
  const calls = new StoreCalls(middle)
  const contenders = [
    rotationOf('10k', small),
    rotationOf('100k', middle),
    {
      name: 'store calls 100k',
      values: middle.records,
      prepare: () => calls.prepare(),
      run: () => calls.run(),
    },
    rotationOf('1M', large),
  ].map((contender) => ({ ...contender, calls: 1 }))
  return { title: '', contenders, comparisons: rateComparisons() }
}

/** Lists the ratios of {@link rateHeat}. */
export function rateComparisons(): readonly Comparison[] {
  return [
    { name: 'rotation/rate/1M/100k', ours: ['rotation 1M'], theirs: ['rotation 100k'] },
    { name: 'rotation/rate/10k/100k', ours: ['rotation 10k'], theirs: ['rotation 100k'] },
    { name: 'rotation/rate/100k/storeCalls', ours: ['rotation 100k'], theirs: ['store calls 100k'] },
  ]
}

function rotationOf(size: string, domain: Domain): Contender {
  return {
    name: `rotation ${size}`,
    values: domain.records,
    prepare: () => domain.prepareHere(),
    run: () => domain.rotations.run(),
  }
}

import type { Domain } from './domain.ts'
import { Instance } from './instance.ts'

const MEBIBYTE = 1_048_576

/** The name of what {@link memoryFigures} finds out. */
export const MEMORY_FIGURE = 'rotation/memory/1M-10k/MiB'

/**
 * Has a process of its own rotate few secrets, and another one very many.
 *
 * @returns How much more memory the second one had at most, in MiB.
 */
export async function memoryFigures(
  few: Domain,
  many: Domain,
  rounds: number,
): Promise<Record<string, readonly number[]>> {
  const more: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    const peaks: number[] = []
    for (const domain of [few, many]) peaks.push((await peakOf(domain)) / MEBIBYTE)
    const [small = 0, large = 0] = peaks
    console.error(
      `memory: ${small.toFixed(0)} MiB for ${few.records}, ${large.toFixed(0)} MiB for ${many.records}`,
    )
    more.push(large - small)
  }
  return { [MEMORY_FIGURE]: more }
}

async function peakOf(domain: Domain): Promise<number> {
  const instance = new Instance()
  try {
    await domain.prepare([instance], [])
    await domain.rotateBy([instance])
    return await instance.peakBytes()
  } finally {
    await instance.stop()
  }
}

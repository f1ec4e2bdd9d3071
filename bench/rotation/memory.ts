import type { Domain } from './domain.ts'
import { Instance } from './instance.ts'

const MEBIBYTE = 1_048_576

/** The name of what {@link memoryFigures} finds out. */
export const MEMORY_FIGURE = 'rotation/memory/1M-10k/MiB'

/** How often few secrets are rotated: what a collector leaves lying about depends on how much was ever made. */
const ROTATIONS_OF_FEW = 20

/**
 * Has a process of its own rotate few secrets several times, and another one very many once.
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
    const small = await peaksOf(few, ROTATIONS_OF_FEW)
    const large = await peaksOf(many, 1)
    const told = [small.first, small.last, large.last].map((bytes) => (bytes / MEBIBYTE).toFixed(0))
    console.error(
      `memory: ${told[0]} MiB after one rotation of ${few.records}, ${told[1]} after ${ROTATIONS_OF_FEW}, ` +
        `${told[2]} after one of ${many.records}`,
    )
    more.push((large.last - small.last) / MEBIBYTE)
  }
  return { [MEMORY_FIGURE]: more }
}

/** The most memory that one process ever had, after its first rotation and after its last. */
async function peaksOf(domain: Domain, rotations: number): Promise<{ first: number; last: number }> {
  const instance = new Instance()
  const peaks: number[] = []
  try {
    for (let turn = 0; turn < rotations; turn += 1) {
      await domain.prepare([instance], [instance])
      await domain.rotateBy([instance])
      peaks.push(await instance.peakBytes())
    }
    return { first: peaks.at(0) ?? 0, last: peaks.at(-1) ?? 0 }
  } finally {
    await instance.stop()
  }
}

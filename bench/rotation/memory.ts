import type { Domain } from './domain.ts'
import { Instance } from './instance.ts'

const MEBIBYTE = 1_048_576

/** The names of what {@link memoryFigures} finds out: against one rotation of few secrets, and against as much work in all. */
export const MEMORY_FIGURES = ['rotation/memory/1M-10k/MiB', 'rotation/memory/1M-20x10k/MiB'] as const

/** How often few secrets are rotated in the end: what a collector leaves lying about depends on how much was ever made. */
const ROTATIONS_OF_FEW = 20

/**
 * Has a process of its own rotate few secrets several times, and another one very many once.
 *
 * @returns How much more memory the second one had at most than the first one had after its first and after its last rotation,
 * in MiB.
 */
export async function memoryFigures(
  few: Domain,
  many: Domain,
  rounds: number,
): Promise<Record<string, readonly number[]>> {
  const [once, often] = MEMORY_FIGURES
  const more: Record<string, number[]> = { [once]: [], [often]: [] }
  for (let round = 0; round < rounds; round += 1) {
    const small = await peaksOf(few, ROTATIONS_OF_FEW)
    const large = await peaksOf(many, 1)
    const told = [small.first, small.last, large.last].map((bytes) => (bytes / MEBIBYTE).toFixed(0))
    console.error(
      `memory: ${told[0]} MiB after one rotation of ${few.records}, ${told[1]} after ${ROTATIONS_OF_FEW}, ` +
        `${told[2]} after one of ${many.records}`,
    )
    more[once]?.push((large.last - small.first) / MEBIBYTE)
    more[often]?.push((large.last - small.last) / MEBIBYTE)
  }
  return more
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

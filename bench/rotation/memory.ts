import type { Domain } from './domain.ts'
import { Instance } from './instance.ts'

const MEBIBYTE = 1_048_576

/** A small heap, as a process in a small container has it: what is garbage is collected before it takes more. */
const SMALL_HEAP = ['--max-old-space-size=64', '--max-semi-space-size=4']

/** The names of what {@link memoryFigures} finds out: with V8 left to take what it likes, and with a small heap. */
export const MEMORY_FIGURES = ['rotation/memory/1M-10k/MiB', 'rotation/memory/1M-10k/smallHeap/MiB'] as const

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
  const [free, small] = MEMORY_FIGURES
  const more: Record<string, number[]> = { [free]: [], [small]: [] }
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, options] of [
      [free, []],
      [small, SMALL_HEAP],
    ] as const) {
      const [low, high] = [await peakOf(few, options), await peakOf(many, options)]
      console.error(
        `memory, ${options.join(' ') || 'no options'}: at most ${low.toFixed(0)} MiB with ${few.records}, ` +
          `${high.toFixed(0)} with ${many.records}`,
      )
      more[name]?.push(high - low)
    }
  }
  return more
}

/** The most memory in MiB that a process ever had which was started with these options and has rotated once. */
async function peakOf(domain: Domain, options: readonly string[]): Promise<number> {
  const instance = new Instance(options)
  try {
    await domain.prepare([instance], [instance])
    await domain.rotateBy([instance])
    return (await instance.peakBytes()) / MEBIBYTE
  } finally {
    await instance.stop()
  }
}

import type { CallOptions } from '../../store/secret-store.ts'

/**
 * A place outside of the store where envelopes of the same KEKs are kept, made by the codec or copied: a column of another
 * table, a queue, a cache. Either it can count, or its envelopes do not grow older than a known age.
 */
export type DeclaredSource =
  | {
      readonly name: string
      /** Counts the envelopes under a KEK, as a whole number; 0 must be exact. What else it answers or throws ends the check. */
      count(kekId: string, options: CallOptions): Promise<number>
    }
  | {
      readonly name: string
      /** The oldest an envelope there can be, in milliseconds. */
      readonly maxAgeMs: number
    }

/**
 * Checks what a caller declared.
 *
 * @throws TypeError for a source of the wrong form, or two of one name.
 */
export function checkDeclaredSources(sources: readonly DeclaredSource[]): void {
  const names = new Set<string>()
  for (const source of sources) {
    const { name } = source
    const counts = 'count' in source && typeof source.count === 'function'
    const expires = 'maxAgeMs' in source && Number.isFinite(source.maxAgeMs) && source.maxAgeMs >= 0
    if (typeof name !== 'string' || name === '' || counts === expires) {
      throw new TypeError('A declared source has a name, and either a function count or a number maxAgeMs.')
    }
    if (names.has(name)) throw new TypeError('Two declared sources have one name.')
    names.add(name)
  }
}

import type { KeySource } from '@talos/envelope'

/** A key source that gives what it is told to, and can say so. */
export interface ChangingSource extends KeySource {
  now: KeySource
  loads: number
  isWatched: boolean
  tell(): void
}

export function changing(first: KeySource): ChangingSource {
  let onChange = (): void => {}
  const source: ChangingSource = {
    now: first,
    loads: 0,
    isWatched: false,
    tell: () => onChange(),
    load(options) {
      source.loads += 1
      return source.now.load(options)
    },
    watch(listener) {
      onChange = listener
      source.isWatched = true
      return {
        close() {
          source.isWatched = false
          onChange = () => {}
        },
      }
    },
  }
  return source
}

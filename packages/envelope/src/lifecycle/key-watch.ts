import type { KeySource } from '../keyring/key-source.ts'

/** Notices changes of a key source. Begun before its first load, so that nothing is missed between loading and opening. */
export class KeyWatch {
  /** What an operator should know of the watch itself, in words. */
  readonly notices: readonly string[]
  readonly #watch: { close(): void } | undefined
  #changed = false
  #follow: () => void = () => {
    this.#changed = true
  }

  constructor(source: KeySource) {
    const notices: string[] = []
    try {
      this.#watch = source.watch?.(() => this.#follow())
    } catch {
      // Nothing of the error is passed on: those of the system quote paths.
      notices.push(
        'The key source cannot be watched on this machine. Call vault.reload() after each change of it.',
      )
    }
    this.notices = notices
  }

  /** From here on changes are told, one that has happened before included. */
  follow(onChange: () => void): void {
    this.#follow = onChange
    if (this.#changed) onChange()
  }

  close(): void {
    this.#watch?.close()
  }
}

import {
  checkDeclaredSource,
  checkDeclaredSources,
  type DeclaredSource,
  isRotatable,
  MOST_SOURCES,
  type RotatableSource,
} from '../lifecycle/retirement/declared-source.ts'

/** The places outside of the store where envelopes of a keyring domain are kept, as one instance knows them. */
export class VaultSources {
  readonly #sources: DeclaredSource[]

  constructor(initial: readonly DeclaredSource[] = []) {
    checkDeclaredSources(initial)
    this.#sources = [...initial]
  }

  /**
   * Declares one more source: the retirement gate asks it from now on, rotations that are begun from now on re-wrap it where
   * they can, and other instances hear of its name with the next heartbeat.
   *
   * @throws TypeError for a source of the wrong form, a name that is taken, or the 65th source.
   */
  add(source: DeclaredSource): void {
    checkDeclaredSource(source)
    if (this.find(source.name) !== null) {
      throw new TypeError(`A source of the name "${source.name}" is declared already.`)
    }
    if (this.#sources.length >= MOST_SOURCES)
      throw new TypeError(`At most ${MOST_SOURCES} sources are declared.`)
    this.#sources.push(source)
  }

  /** The sources in the order in which they were declared. */
  list(): readonly DeclaredSource[] {
    return [...this.#sources]
  }

  /** The source of a name, or `null`. */
  find(name: string): DeclaredSource | null {
    return this.#sources.find((source) => source.name === name) ?? null
  }

  /** Those that a rotation re-wraps, by name. */
  rotatable(): ReadonlyMap<string, RotatableSource> {
    return new Map(this.#sources.filter(isRotatable).map((source) => [source.name, source]))
  }
}

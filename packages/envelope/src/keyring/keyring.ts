import type { Kek } from './kek.ts'

let makeKeyring: (keks: readonly Kek[], wishedKekId: string, decryptOnlyKekIds: readonly string[]) => Keyring

/**
 * The KEKs a process holds, as its key source gave them. Immutable; prints ids and fingerprints only.
 */
export class Keyring {
  /** The ids of all KEKs, sorted. */
  readonly ids: readonly string[]
  /** The id the key source names as current. A wish: the keyring document of a vault decides. */
  readonly wishedKekId: string
  readonly #keks: ReadonlyMap<string, Kek>
  readonly #decryptOnly: ReadonlySet<string>

  static {
    makeKeyring = (...parts) => new Keyring(...parts)
  }

  private constructor(keks: readonly Kek[], wishedKekId: string, decryptOnlyKekIds: readonly string[]) {
    this.#keks = new Map(keks.map((kek) => [kek.id, kek]))
    this.#decryptOnly = new Set(decryptOnlyKekIds)
    this.ids = Object.freeze([...this.#keks.keys()].sort())
    this.wishedKekId = wishedKekId
    Object.freeze(this)
  }

  /**
   * Finds a KEK.
   *
   * @param kekId - Its id.
   * @returns The KEK, or `undefined` when this process does not hold it.
   */
  get(kekId: string): Kek | undefined {
    return this.#keks.get(kekId)
  }

  /**
   * Tells whether the key source forbids to wrap under a KEK. Its word is the last one: whoever can write to
   * the store could otherwise make instances wrap under a leaked KEK that they still hold.
   *
   * @param kekId - Its id.
   * @returns Whether the KEK may only unwrap.
   */
  isDecryptOnly(kekId: string): boolean {
    return this.#decryptOnly.has(kekId)
  }

  /** Names the ids and fingerprints of the KEKs, never a key. */
  toString(): string {
    const keks = this.ids.map((id) => {
      const marks = [
        ...(id === this.wishedKekId ? [' current'] : []),
        ...(this.#decryptOnly.has(id) ? [' decrypt-only'] : []),
      ]
      return `${id} ${this.#keks.get(id)?.fingerprint}${marks.join('')}`
    })
    return `[keyring ${keks.join(', ')}]`
  }

  /** The same text as `toString()`. */
  toJSON(): string {
    return this.toString()
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}

/**
 * Makes a keyring of checked parts.
 *
 * @param keks - Each with an id of its own.
 * @param wishedKekId - The id of one of them.
 * @param decryptOnlyKekIds - The ids of others of them.
 * @returns The keyring.
 */
export function createKeyring(
  keks: readonly Kek[],
  wishedKekId: string,
  decryptOnlyKekIds: readonly string[],
): Keyring {
  return makeKeyring(keks, wishedKekId, decryptOnlyKekIds)
}

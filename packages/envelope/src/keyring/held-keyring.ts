import type { Kek } from './kek.ts'
import type { Keyring } from './keyring.ts'
import { takeOverTest } from './remote-kek.ts'

/** What is read of a keyring, whether it stays as it is or may be exchanged. */
export type KeyringReader = Pick<Keyring, 'ids' | 'wishedKekId' | 'get' | 'isDecryptOnly'>

/**
 * The keyring that a vault holds at the moment. Everything reads through it, so that an exchange takes effect everywhere at
 * once, from the next look on.
 */
export class HeldKeyring implements KeyringReader {
  #now: Keyring
  /** Exchanged, and kept for calls that had read a record before and have yet to open it. */
  readonly #leaving = new Set<Keyring>()

  constructor(keyring: Keyring) {
    this.#now = keyring
  }

  /** The keyring of this moment; it stays what it is when another one takes its place. */
  get now(): Keyring {
    return this.#now
  }

  get ids(): readonly string[] {
    return this.#now.ids
  }

  get wishedKekId(): string {
    return this.#now.wishedKekId
  }

  get(kekId: string): Kek | undefined {
    return this.#now.get(kekId)
  }

  isDecryptOnly(kekId: string): boolean {
    return this.#now.isDecryptOnly(kekId)
  }

  /** Where to look for a KEK to open with, in this order. */
  get forOpening(): readonly Keyring[] {
    return [this.#now, ...this.#leaving]
  }

  /**
   * Puts another keyring in the place of this one.
   *
   * @param next - The keyring from now on. Remote KEKs with the provider they had need no new self-test.
   * @param inFlight - Settles when every call has ended that may have begun with the former keyring.
   */
  exchange(next: Keyring, inFlight: Promise<unknown>): void {
    const former = this.#now
    if (next === former) return
    for (const id of next.ids) takeOverTest(next.get(id), former.get(id))
    this.#leaving.delete(next)
    this.#leaving.add(former)
    this.#now = next
    const forget = (): boolean => this.#leaving.delete(former)
    void inFlight.then(forget, forget)
  }
}

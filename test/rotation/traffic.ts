import { setTimeout as pause } from 'node:timers/promises'
import { isEnvelopeError, type SecretVault } from '@talos/envelope'

const READ_EVERY_MS = 20
const MOST_FAULTS = 20

/** Puts and reads of some secrets of a vault, whose values are numbers that only grow. */
export class Traffic {
  updates = 0
  reads = 0
  readonly faults: string[] = []
  /** The last acknowledged number of each name. */
  readonly last = new Map<string, number>()
  readonly #vault: SecretVault
  readonly #names: readonly string[]
  readonly #seen = new Map<string, number>()
  #working = true

  constructor(vault: SecretVault, names: readonly string[]) {
    this.#vault = vault
    this.#names = names
  }

  /** Lets the calls in hand end. */
  stop(): void {
    this.#working = false
  }

  /** Writes names in turn, each number once and behind the one before it. */
  async write(names: readonly string[], perSecond: number): Promise<void> {
    const beganMs = performance.now()
    for (let turn = 0; this.#working; turn += 1) {
      const name = names[turn % names.length] ?? ''
      const number = (this.last.get(name) ?? 0) + 1
      try {
        await this.#vault.put(name, String(number))
        this.last.set(name, number)
        this.updates += 1
      } catch (error) {
        this.#fault(`put of ${name}: ${isEnvelopeError(error) ? error.code : String(error)}`)
      }
      await pause(Math.max(0, beganMs + ((turn + 1) * 1_000) / perSecond - performance.now()))
    }
  }

  /** Reads all names again and again: none may be older than what was acknowledged or seen before the read began. */
  async read(): Promise<void> {
    while (this.#working) {
      const acknowledged = new Map(this.last)
      const secrets = await this.#vault.getMany(this.#names)
      for (const [index, name] of this.#names.entries()) {
        const number = Number(secrets[index]?.text() ?? Number.NaN)
        const least = Math.max(acknowledged.get(name) ?? 0, this.#seen.get(name) ?? 0)
        if (!(number >= least)) this.#fault(`${name} was ${number} after ${least}`)
        this.#seen.set(name, number)
      }
      this.reads += this.#names.length
      await pause(READ_EVERY_MS)
    }
  }

  #fault(fault: string): void {
    if (this.faults.length < MOST_FAULTS) this.faults.push(fault)
  }
}

import type { Said } from './protocol.ts'

/** What a name may hold. */
interface Entry {
  /** The last value whose write was acknowledged; `null` for none. */
  readonly acknowledged: string | null
  /** A later one of which nobody knows whether it was written: its process was killed. */
  readonly inDoubt: string | null
}

/** What was written under each name. A name has one writer at a time. */
export class Ledger {
  readonly #entries = new Map<string, Entry>()

  get names(): readonly string[] {
    return [...this.#entries.keys()]
  }

  hear(said: Said): void {
    if (said.is === 'putting') this.#set(said.name, { inDoubt: said.value })
    if (said.is === 'put') this.#set(said.name, { acknowledged: said.value, inDoubt: null })
    // Which errors leave doubt is not for this to judge: scenarios allow none that does.
    if (said.is === 'refused' && said.during === 'put') this.#set(said.name, { inDoubt: null })
  }

  acknowledge(name: string, value: string): void {
    this.#set(name, { acknowledged: value, inDoubt: null })
  }

  /** The number after the highest of a slot. */
  nextOf(slot: string): number {
    const values = [...this.#entries].flatMap(([name, { acknowledged, inDoubt }]) =>
      name.startsWith(`${slot}-`) ? [acknowledged, inDoubt] : [],
    )
    return Math.max(-1, ...values.map((value) => Number(value?.split('#')[1] ?? -1))) + 1
  }

  /** What differs between this and what was read: each as the name with what is wrong. */
  differences(read: Readonly<Record<string, unknown>>): readonly string[] {
    return [...this.#entries].flatMap(([name, { acknowledged, inDoubt }]) => {
      const found = read[name]
      const isKnown = found === acknowledged || (inDoubt !== null && found === inDoubt)
      return isKnown ? [] : [`${name}: acknowledged ${acknowledged}, read ${JSON.stringify(found)}`]
    })
  }

  #set(name: string, entry: Partial<Entry>): void {
    const known = this.#entries.get(name) ?? { acknowledged: null, inDoubt: null }
    this.#entries.set(name, { ...known, ...entry })
  }
}

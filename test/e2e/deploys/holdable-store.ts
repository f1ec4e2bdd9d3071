import type { CallOptions, Change, Outcome, SecretStore } from '@talos/envelope'
import { kekIdOf } from './wrap-text.ts'

/** Hears of a write that was held. */
export interface HoldListener {
  held(name: string, kekId: string): void
  wrote(name: string, kekId: string, outcome: string): void
}

/** A store that can hold one write back where a process can be stopped for long: after the wrap and before the store. */
export class HoldableStore {
  readonly store: SecretStore
  #armed = false
  #heldName: string | null = null
  #release: () => void = () => {}

  constructor(inner: SecretStore, listener: HoldListener) {
    const write = async (
      guard: number,
      changes: readonly Change[],
      options?: CallOptions,
    ): Promise<readonly Outcome[]> => {
      const [change] = changes
      const isSecret = change !== undefined && change.kind !== 'delete' && changes.length === 1
      if (!isSecret) return await inner.write(guard, changes, options)
      const { name, wrap } = change.secret
      const kekId = kekIdOf(wrap)
      if (this.#armed) {
        this.#armed = false
        this.#heldName = name
        const { promise, resolve } = Promise.withResolvers<void>()
        this.#release = resolve
        listener.held(name, kekId)
        await promise
      }
      const outcomes = await inner.write(guard, changes, options)
      if (name === this.#heldName) {
        const [outcome = 'missing'] = outcomes
        if (outcome === 'done') this.#heldName = null
        listener.wrote(name, kekId, outcome)
      }
      return outcomes
    }
    this.store = {
      identify: (options) => inner.identify(options),
      read: (names, options) => inner.read(names, options),
      scan: (query, options) => inner.scan(query, options),
      write,
      census: (options) => inner.census(options),
      readDocument: (key, options) => inner.readDocument(key, options),
      writeDocument: (key, revision, value, options) => inner.writeDocument(key, revision, value, options),
      listDocuments: (query, options) => inner.listDocuments(query, options),
      ...(inner.shards === undefined ? {} : { shards: inner.shards.bind(inner) }),
    }
  }

  /** Holds the next write of a secret. */
  hold(): void {
    this.#armed = true
  }

  release(): void {
    this.#release()
  }
}

import { type CallOptions, type Change, KEYRING_DOCUMENT, MemoryStore, type Outcome } from '@talos/envelope'
import type { HeldWrite, OpenStore } from '@talos/envelope-conformance'

/** A memory store with transactions that can be kept open; its fence waits for them. */
export class TransactionalStore extends MemoryStore {
  readonly #open = new Set<Promise<void>>()

  async hold(guard: number, changes: readonly Change[]): Promise<HeldWrite> {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>()
    this.#open.add(ended)
    const outcome: Outcome = (await this.revision()) === guard ? 'done' : 'fenced'
    const commit = async (): Promise<boolean> => {
      await this.commit(guard, changes)
      this.#open.delete(ended)
      end()
      return true
    }
    return { outcomes: changes.map(() => outcome), commit }
  }

  override async writeDocument(
    key: string,
    expected: number,
    value: string | null,
    options?: CallOptions,
  ): Promise<number | null> {
    if (key !== KEYRING_DOCUMENT || value === null) return super.writeDocument(key, expected, value, options)
    return this.fence(expected, value)
  }

  protected commit(guard: number, changes: readonly Change[]): Promise<unknown> {
    return this.write(guard, changes)
  }

  protected async fence(expected: number, value: string): Promise<number | null> {
    await this.settled()
    return this.moveGuard(expected, value)
  }

  protected settled(): Promise<unknown> {
    return Promise.all(this.#open)
  }

  protected moveGuard(expected: number, value: string | null): Promise<number | null> {
    return super.writeDocument(KEYRING_DOCUMENT, expected, value)
  }

  protected async revision(): Promise<number> {
    return (await this.readDocument(KEYRING_DOCUMENT))?.revision ?? -1
  }
}

/** Its fence does not wait, and whoever passed the guard once may write. */
export class UnawaitedTransactions extends TransactionalStore {
  protected override async commit(_guard: number, changes: readonly Change[]): Promise<unknown> {
    return this.write(await this.revision(), changes)
  }

  protected override fence(expected: number, value: string | null): Promise<number | null> {
    return this.moveGuard(expected, value)
  }
}

/** Its fence waits, but everybody sees the new revision before. */
export class EarlyRevision extends TransactionalStore {
  protected override async commit(_guard: number, changes: readonly Change[]): Promise<unknown> {
    return this.write(await this.revision(), changes)
  }

  protected override async fence(expected: number, value: string | null): Promise<number | null> {
    const revision = await this.moveGuard(expected, value)
    await this.settled()
    return revision
  }
}

export function openingTransactional(Store: new () => TransactionalStore = TransactionalStore): OpenStore {
  return async () => {
    const store = new Store()
    return {
      store,
      holdWrite: (guard, changes) => store.hold(guard, changes),
      close: async () => {},
    }
  }
}

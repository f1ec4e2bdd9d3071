import {
  type CallOptions,
  type Change,
  checkChanges,
  checkDocument,
  KEYRING_DOCUMENT,
  MemoryStore,
  type Outcome,
  type Page,
  type SecretHeader,
  type SecretStore,
  type StoredDocument,
  type StoredSecret,
  StoreError,
} from '@talos/envelope'

type ListQuery = Parameters<SecretStore['listDocuments']>[0]
const MAX_SEALED_BYTES = 1_048_576 + 28
const nameOf = (change: Change) => (change.kind === 'delete' ? change.name : change.secret.name)
const kekIdOf = ({ wrap }: SecretHeader) => wrap.split(':')[2] ?? ''

/** A store whose mistakes write what the contract forbids: it can make a change whatever record is there. */
class Forcing extends MemoryStore {
  async one(name: string): Promise<StoredSecret | null> {
    return (await super.read([name]))[0] ?? null
  }

  async step(guard: number, change: Change): Promise<Outcome> {
    return (await super.write(guard, [change]))[0] as Outcome
  }

  async force(guard: number, change: Change): Promise<Outcome> {
    for (;;) {
      const there = await this.one(nameOf(change))
      const forced: Change =
        there === null
          ? change
          : change.kind === 'create'
            ? { kind: 'replace', secret: change.secret, expectedWrap: there.wrap }
            : { ...change, expectedWrap: there.wrap }
      const outcome = await this.step(guard, forced)
      if (outcome !== 'changed' && !(outcome === 'missing' && there !== null)) return outcome
    }
  }

  override async write(guard: number, changes: readonly Change[], options?: CallOptions) {
    checkChanges(changes, MAX_SEALED_BYTES)
    await super.write(guard, [], options)
    const outcomes: Outcome[] = []
    for (const change of changes) outcomes.push(await this.decide(guard, change))
    return outcomes
  }

  decide(guard: number, change: Change): Promise<Outcome> {
    return this.step(guard, change)
  }
}

export class WithoutCompare extends Forcing {
  override decide(guard: number, change: Change): Promise<Outcome> {
    return this.force(guard, change)
  }
}

export class ReadThenWrite extends Forcing {
  override async decide(guard: number, change: Change): Promise<Outcome> {
    const there = await this.one(nameOf(change))
    const expected = change.kind === 'create' ? undefined : change.expectedWrap
    return there?.wrap === expected ? this.force(guard, change) : this.step(guard, change)
  }
}

export class Upsert extends Forcing {
  override async decide(guard: number, change: Change): Promise<Outcome> {
    const outcome = await this.step(guard, change)
    if (outcome !== 'missing' || change.kind === 'delete') return outcome
    return this.step(guard, { kind: 'create', secret: { sealed: new Uint8Array(28), ...change.secret } })
  }
}

export class GuardOutside extends Forcing {
  override async decide(guard: number, change: Change): Promise<Outcome> {
    let now = await this.#revision()
    if (now !== guard) return this.step(guard, change)
    for (;;) {
      const outcome = await this.step(now, change)
      if (outcome !== 'fenced') return outcome
      now = await this.#revision()
    }
  }

  async #revision(): Promise<number> {
    return (await this.readDocument(KEYRING_DOCUMENT))?.revision ?? -1
  }
}

/** Keeps the keyring document one revision ahead of what it shows, so that the first one stands for none. */
export class GuardFromNothing extends MemoryStore {
  override async write(guard: number, changes: readonly Change[], options?: CallOptions) {
    await super.writeDocument(KEYRING_DOCUMENT, 0, '')
    return super.write(guard + 1, changes, options)
  }

  override async writeDocument(key: string, expected: number, value: string | null, options?: CallOptions) {
    checkDocument(key, expected, value)
    if (key !== KEYRING_DOCUMENT) return super.writeDocument(key, expected, value, options)
    await super.writeDocument(KEYRING_DOCUMENT, 0, '')
    const revision = await super.writeDocument(key, expected + 1, value, options)
    return revision === null ? null : revision - 1
  }

  override async readDocument(key: string, options?: CallOptions): Promise<StoredDocument | null> {
    return shown(await super.readDocument(key, options))
  }

  override async listDocuments(query: ListQuery, options?: CallOptions): Promise<Page<StoredDocument>> {
    const { items, next } = await super.listDocuments(query, options)
    return { items: items.map(shown).filter((document) => document !== null), next }
  }
}

function shown(document: StoredDocument | null): StoredDocument | null {
  if (document?.key !== KEYRING_DOCUMENT) return document
  return document.revision === 1 ? null : { ...document, revision: document.revision - 1 }
}

export class LostRepetition extends Forcing {
  override async decide(guard: number, change: Change): Promise<Outcome> {
    const outcome = await this.step(guard, change)
    return outcome === 'already' ? 'changed' : outcome
  }
}

export class DenyingFence extends Forcing {
  override async decide(guard: number, change: Change): Promise<Outcome> {
    const revision = (await this.readDocument(KEYRING_DOCUMENT))?.revision
    return change.kind === 'delete' || revision === guard ? this.step(guard, change) : 'fenced'
  }
}

export class MetaAnyway extends Forcing {
  readonly #metas = new Map<string, string>()

  override async decide(guard: number, change: Change): Promise<Outcome> {
    const outcome = await this.step(guard, change)
    if (outcome === 'done') this.#metas.delete(nameOf(change))
    if (outcome === 'changed' && change.kind !== 'delete') this.#metas.set(nameOf(change), change.secret.meta)
    return outcome
  }

  override async read(names: readonly string[], options?: CallOptions) {
    const answers = await super.read(names, options)
    return answers.map((secret) =>
      secret === null ? null : { ...secret, meta: this.#metas.get(secret.name) ?? secret.meta },
    )
  }
}

export class FoldedNames extends Forcing {
  override async read(names: readonly string[], options?: CallOptions) {
    return super.read(
      names.map((name) => name.toLowerCase()),
      options,
    )
  }

  override decide(guard: number, change: Change): Promise<Outcome> {
    const name = nameOf(change).toLowerCase()
    if (change.kind === 'delete') return this.step(guard, { ...change, name })
    return this.step(guard, { ...change, secret: { ...change.secret, name } } as Change)
  }
}

export class AllOrNothing extends MemoryStore {
  override async write(guard: number, changes: readonly Change[], options?: CallOptions) {
    const outcomes = await super.write(guard, changes, options)
    const lost = outcomes.find((outcome) => outcome !== 'done' && outcome !== 'already')
    return lost === undefined || changes.length === 1 ? outcomes : changes.map(() => lost)
  }
}

export class CutsSealedBytes extends MemoryStore {
  override write(guard: number, changes: readonly Change[], options?: CallOptions) {
    const cut = changes.map((change): Change => {
      if (change.kind !== 'create' && change.kind !== 'replace') return change
      const sealed = change.secret.sealed.slice(0, MAX_SEALED_BYTES)
      return { ...change, secret: { ...change.secret, sealed } }
    })
    return super.write(guard, cut, options)
  }
}

export class RashFailure extends MemoryStore {
  override async write(guard: number, changes: readonly Change[], options: CallOptions = {}) {
    const outcomes = await super.write(guard, changes)
    if (options.signal?.aborted) {
      throw new StoreError('ERR_STORE_UNAVAILABLE', 'aborted', { retryable: true })
    }
    return outcomes
  }
}

/** Counts by a column that it fills when a record is made and forgets when it is re-wrapped. */
export class CensusByColumn extends Forcing {
  readonly #column = new Map<string, string>()

  override async decide(guard: number, change: Change): Promise<Outcome> {
    const outcome = await this.step(guard, change)
    if (outcome !== 'done' || change.kind === 'rewrap') return outcome
    if (change.kind === 'delete') this.#column.delete(change.name)
    else this.#column.set(change.secret.name, kekIdOf(change.secret))
    return outcome
  }

  override async census(options?: CallOptions): Promise<ReadonlyMap<string, number>> {
    await super.census(options)
    const counts = new Map<string, number>()
    for (const kekId of this.#column.values()) counts.set(kekId, (counts.get(kekId) ?? 0) + 1)
    return counts
  }
}

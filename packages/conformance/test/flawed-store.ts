import {
  type CallOptions,
  type Change,
  KEYRING_DOCUMENT,
  MemoryStore,
  type MemoryStoreOptions,
  type Outcome,
  type Page,
  type SecretHeader,
  type SecretStore,
  type StoredDocument,
  type StoredSecret,
  StoreError,
} from '@talos/envelope'

type ScanQuery = Parameters<SecretStore['scan']>[0]
type ListQuery = Parameters<SecretStore['listDocuments']>[0]

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

  override async write(guard: number, changes: readonly Change[]): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = []
    for (const change of changes) outcomes.push(await this.decide(guard, change))
    return outcomes
  }

  decide(guard: number, change: Change): Promise<Outcome> {
    return this.step(guard, change)
  }
}

class WithoutCompare extends Forcing {
  override decide(guard: number, change: Change): Promise<Outcome> {
    return this.force(guard, change)
  }
}

class ReadThenWrite extends Forcing {
  override async decide(guard: number, change: Change): Promise<Outcome> {
    const there = await this.one(nameOf(change))
    const expected = change.kind === 'create' ? undefined : change.expectedWrap
    return there?.wrap === expected ? this.force(guard, change) : this.step(guard, change)
  }
}

class Upsert extends Forcing {
  override async decide(guard: number, change: Change): Promise<Outcome> {
    const outcome = await this.step(guard, change)
    if (outcome !== 'missing' || change.kind === 'delete') return outcome
    return this.step(guard, { kind: 'create', secret: { sealed: new Uint8Array(28), ...change.secret } })
  }
}

class GuardOutside extends Forcing {
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

class GuardFromNothing extends Forcing {
  override async decide(guard: number, change: Change): Promise<Outcome> {
    if (guard !== 0 || (await this.writeDocument(KEYRING_DOCUMENT, 0, 'none')) === null) {
      return this.step(guard, change)
    }
    const outcome = await this.step(1, change)
    await this.writeDocument(KEYRING_DOCUMENT, 1, null)
    return outcome
  }
}

class LostRepetition extends Forcing {
  override async decide(guard: number, change: Change): Promise<Outcome> {
    const outcome = await this.step(guard, change)
    return outcome === 'already' ? 'changed' : outcome
  }
}

class DenyingFence extends Forcing {
  override async decide(guard: number, change: Change): Promise<Outcome> {
    const revision = (await this.readDocument(KEYRING_DOCUMENT))?.revision
    return change.kind === 'delete' || revision === guard ? this.step(guard, change) : 'fenced'
  }
}

class MetaAnyway extends Forcing {
  override async decide(guard: number, change: Change): Promise<Outcome> {
    const outcome = await this.step(guard, change)
    if (outcome !== 'changed' || change.kind === 'delete') return outcome
    const there = await this.one(change.secret.name)
    if (there === null) return outcome
    const { name, meta } = change.secret
    const between = `${there.wrap}-`
    await this.step(guard, {
      kind: 'rewrap',
      expectedWrap: there.wrap,
      secret: { name, wrap: between, meta },
    })
    await this.step(guard, {
      kind: 'rewrap',
      expectedWrap: between,
      secret: { name, wrap: there.wrap, meta },
    })
    return outcome
  }
}

class FoldedNames extends Forcing {
  override async read(names: readonly string[]): Promise<readonly (StoredSecret | null)[]> {
    return super.read(names.map((name) => name.toLowerCase()))
  }

  override decide(guard: number, change: Change): Promise<Outcome> {
    const name = nameOf(change).toLowerCase()
    if (change.kind === 'delete') return this.step(guard, { ...change, name })
    return this.step(guard, { ...change, secret: { ...change.secret, name } } as Change)
  }
}

class Paging extends MemoryStore {
  async all(query: ScanQuery): Promise<SecretHeader[]> {
    return [...(await super.scan({ ...query, cursor: null, limit: 1_000 })).items]
  }
}

class PagesByPosition extends Paging {
  override async scan(query: ScanQuery): Promise<Page<SecretHeader>> {
    const from = Number(query.cursor ?? 0)
    const items = (await this.all(query)).slice(from, from + query.limit)
    return { items, next: items.length === query.limit ? String(from + query.limit) : null }
  }
}

class PagesByKek extends Paging {
  override async scan(query: ScanQuery): Promise<Page<SecretHeader>> {
    const place = (header: SecretHeader) => `${kekIdOf(header)}\0${header.name}`
    const { cursor, limit } = query
    const ahead = (await this.all(query)).filter((header) => cursor === null || place(header) > cursor)
    const items = ahead.sort((left, right) => (place(left) < place(right) ? -1 : 1)).slice(0, limit)
    const last = items.at(-1)
    return { items, next: items.length === limit && last ? place(last) : null }
  }
}

class CachedCensus extends MemoryStore {
  #counts: ReadonlyMap<string, number> | undefined

  override async census(): Promise<ReadonlyMap<string, number>> {
    this.#counts ??= await super.census()
    return this.#counts
  }
}

class PrefixAsPattern extends MemoryStore {
  override async listDocuments(query: ListQuery): Promise<Page<StoredDocument>> {
    const quoted = query.prefix.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
    const pattern = new RegExp(`^${quoted.replaceAll('%', '.*').replaceAll('_', '.')}`)
    const { items, next } = await super.listDocuments({ ...query, prefix: '' })
    return { items: items.filter(({ key }) => pattern.test(key)), next }
  }
}

class RashFailure extends MemoryStore {
  override async write(guard: number, changes: readonly Change[], options: CallOptions = {}) {
    const outcomes = await super.write(guard, changes)
    if (options.signal?.aborted) {
      throw new StoreError('ERR_STORE_UNAVAILABLE', 'aborted', { retryable: true })
    }
    return outcomes
  }
}

/** Mistakes that adapters make, each with the clauses whose checks must find it. */
export const FLAWED_STORES: readonly {
  readonly flaw: string
  readonly clauses: readonly string[]
  readonly Store: new (options: MemoryStoreOptions) => SecretStore
}[] = [
  { flaw: 'has no compare-and-swap', clauses: ['CAS-1', 'CAS-2', 'CAS-3'], Store: WithoutCompare },
  { flaw: 'reads, awaits, then writes', clauses: ['CAS-1', 'CAS-2'], Store: ReadThenWrite },
  { flaw: 'inserts what it should update', clauses: ['CAS-6'], Store: Upsert },
  { flaw: 'checks the guard outside of the write', clauses: ['GUARD-3', 'GUARD-4'], Store: GuardOutside },
  { flaw: 'takes no keyring document for revision 0', clauses: ['GUARD-2'], Store: GuardFromNothing },
  { flaw: 'calls a repetition a lost race', clauses: ['CAS-4', 'GUARD-1'], Store: LostRepetition },
  { flaw: 'denies after a fence what was done before it', clauses: ['GUARD-1'], Store: DenyingFence },
  { flaw: 'writes meta although it lost', clauses: ['CAS-3'], Store: MetaAnyway },
  { flaw: 'folds the case of names', clauses: ['READ-1', 'SCAN-1'], Store: FoldedNames },
  { flaw: 'pages by position', clauses: ['SCAN-1'], Store: PagesByPosition },
  { flaw: 'pages by KEK and name', clauses: ['SCAN-1'], Store: PagesByKek },
  { flaw: 'counts once and remembers', clauses: ['CENSUS-1', 'CENSUS-2'], Store: CachedCensus },
  { flaw: 'takes a prefix for a pattern', clauses: ['SCAN-1'], Store: PrefixAsPattern },
  { flaw: 'says unavailable after it has written', clauses: ['FAIL-1', 'FAIL-2'], Store: RashFailure },
]

import {
  type CallOptions,
  type Change,
  checkChanges,
  checkDocument,
  isEnvelopeError,
  KEYRING_DOCUMENT,
  MemoryStore,
  type MemoryStoreOptions,
  type Outcome,
  type Page,
  pageLimit,
  type SecretHeader,
  type SecretStore,
  type StoredDocument,
  type StoredSecret,
  StoreError,
} from '@talos/envelope'
import type { OpenStore } from '@talos/envelope-conformance'
import { openingRemote, RemoteStore } from './remote-store.ts'
import { seeded } from './seeded.ts'
import { EarlyRevision, openingTransactional, UnawaitedTransactions } from './transactional-store.ts'

type ScanQuery = Parameters<SecretStore['scan']>[0]
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

/** Keeps the keyring document one revision ahead of what it shows, so that the first one stands for none. */
class GuardFromNothing extends MemoryStore {
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

class FoldedNames extends Forcing {
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

class Paging extends MemoryStore {
  async all(query: ScanQuery, options?: CallOptions): Promise<SecretHeader[]> {
    pageLimit(query.limit)
    return [...(await super.scan({ ...query, cursor: null, limit: 1_000 }, options)).items]
  }
}

class PagesByPosition extends Paging {
  override async scan(query: ScanQuery, options?: CallOptions): Promise<Page<SecretHeader>> {
    const from = Number(query.cursor ?? 0)
    const items = (await this.all(query, options)).slice(from, from + query.limit)
    return { items, next: items.length === query.limit ? String(from + query.limit) : null }
  }
}

class PagesByKek extends Paging {
  override async scan(query: ScanQuery, options?: CallOptions): Promise<Page<SecretHeader>> {
    const place = (header: SecretHeader) => `${kekIdOf(header)}\0${header.name}`
    const { cursor, limit } = query
    const ahead = (await this.all(query, options)).filter(
      (header) => cursor === null || place(header) > cursor,
    )
    const items = ahead.sort((left, right) => (place(left) < place(right) ? -1 : 1)).slice(0, limit)
    const last = items.at(-1)
    return { items, next: items.length === limit && last ? place(last) : null }
  }
}

class CachedCensus extends MemoryStore {
  #counts: ReadonlyMap<string, number> | undefined

  override async census(options?: CallOptions): Promise<ReadonlyMap<string, number>> {
    const counts = await super.census(options)
    this.#counts ??= counts
    return this.#counts
  }
}

class PrefixAsPattern extends MemoryStore {
  override async listDocuments(query: ListQuery, options?: CallOptions): Promise<Page<StoredDocument>> {
    const quoted = query.prefix.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
    const pattern = new RegExp(`^${quoted.replaceAll('%', '.*').replaceAll('_', '.')}`)
    const { items, next } = await super.listDocuments({ ...query, prefix: '' }, options)
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

/** Counts by a column that it fills when a record is made and forgets when it is re-wrapped. */
class CensusByColumn extends Forcing {
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

/** Counts page by page, and a re-wrap between two pages moves a record from one KEK that is counted to another. */
class CensusKekByKek extends MemoryStore {
  override async census(options?: CallOptions): Promise<ReadonlyMap<string, number>> {
    const counts = new Map<string, number>()
    for (const kekId of (await super.census(options)).keys()) {
      const records = (await super.census(options)).get(kekId) ?? 0
      if (records > 0) counts.set(kekId, records)
    }
    return counts
  }
}

class LargePages extends MemoryStore {
  override async scan(query: ScanQuery, options?: CallOptions): Promise<Page<SecretHeader>> {
    return super.scan({ ...query, limit: pageLimit(query.limit) + 1 }, options)
  }
}

class KekIdAsPrefix extends MemoryStore {
  override async scan(
    { exceptKekId, ...query }: ScanQuery,
    options?: CallOptions,
  ): Promise<Page<SecretHeader>> {
    const { items, next } = await super.scan(query, options)
    if (exceptKekId === undefined) return { items, next }
    return { items: items.filter(({ wrap }) => !wrap.startsWith(`talos:v2:${exceptKekId}`)), next }
  }
}

class WholeRecordsInScan extends MemoryStore {
  override async scan(query: ScanQuery, options?: CallOptions): Promise<Page<SecretHeader>> {
    const { items, next } = await super.scan(query, options)
    const whole = await Promise.all(items.map(async ({ name }) => (await super.read([name]))[0]))
    return { items: whole.filter((secret) => secret !== null && secret !== undefined), next }
  }
}

class AllOrNothing extends MemoryStore {
  override async write(guard: number, changes: readonly Change[], options?: CallOptions) {
    const outcomes = await super.write(guard, changes, options)
    const lost = outcomes.find((outcome) => outcome !== 'done' && outcome !== 'already')
    return lost === undefined || changes.length === 1 ? outcomes : changes.map(() => lost)
  }
}

class Blind extends MemoryStore {
  override async writeDocument(key: string, expected: number, value: string | null, options?: CallOptions) {
    if (value === null) return super.writeDocument(key, expected, value, options)
    for (let revision = expected; ; ) {
      const written = await super.writeDocument(key, revision, value, options)
      if (written !== null) return written
      revision = (await this.readDocument(key))?.revision ?? 0
    }
  }
}

class EmptiedDocuments extends MemoryStore {
  override writeDocument(key: string, expected: number, value: string | null, options?: CallOptions) {
    const kept = value === null && key !== KEYRING_DOCUMENT ? '' : value
    return super.writeDocument(key, expected, kept, options)
  }
}

class ForgetfulDocuments extends MemoryStore {
  override async writeDocument(key: string, expected: number, value: string | null, options?: CallOptions) {
    const there = value === null ? null : await super.readDocument(key)
    return there?.revision === expected + 1 ? null : super.writeDocument(key, expected, value, options)
  }
}

class CutsSealedBytes extends MemoryStore {
  override write(guard: number, changes: readonly Change[], options?: CallOptions) {
    const cut = changes.map((change): Change => {
      if (change.kind !== 'create' && change.kind !== 'replace') return change
      const sealed = change.secret.sealed.slice(0, MAX_SEALED_BYTES)
      return { ...change, secret: { ...change.secret, sealed } }
    })
    return super.write(guard, cut, options)
  }
}

class EphemeralIncarnation extends MemoryStore {
  override async identify(options?: CallOptions) {
    return { ...(await super.identify(options)), incarnation: globalThis.crypto.randomUUID() }
  }
}

/** Ends the client it was given when a call fails. */
class EndsClient extends MemoryStore {
  readonly client = { ended: false }

  override async write(guard: number, changes: readonly Change[], options?: CallOptions) {
    try {
      return await super.write(guard, changes, options)
    } catch (error) {
      this.client.ended = true
      throw error
    }
  }
}

/** Lets its driver's errors through once a write was sent. */
class RawErrors extends RemoteStore {
  protected override call<T>(...call: Parameters<RemoteStore['call']>) {
    return super.call<T>(...call).catch((error: unknown) => {
      throw isEnvelopeError(error) && error.code === 'ERR_STORE_OUTCOME_UNKNOWN' ? error.cause : error
    })
  }
}

/** Says of a write that was sent and not answered that it was certainly not written. */
class Overconfident extends RemoteStore {
  protected override call<T>(method: keyof SecretStore, args: readonly unknown[], options?: CallOptions) {
    return super.call<T>(method, args, options)
  }
}

/** A broken store: what is wrong with it, and exactly the clauses that it breaks by that. */
export interface FlawedStore {
  readonly flaw: string
  readonly clauses: readonly string[]
  readonly open: OpenStore
}

const inMemory =
  (Store: new (options: MemoryStoreOptions) => SecretStore): OpenStore =>
  async () => ({
    store: new Store({ disorder: { random: seeded(1) } }),
    close: async () => {},
  })

const withClient: OpenStore = async () => {
  const store = new EndsClient({ disorder: { random: seeded(1) } })
  return { store, clientState: () => ({ ...store.client }), close: async () => {} }
}

/**
 * Mistakes that adapters make. Where several clauses are named, each is broken by its words: an upsert lets a re-wrap and a
 * delete of one wrap text both win (CAS-2), and a repetition that is denied is denied after a fence as well (GUARD-1).
 */
export const FLAWED_STORES: readonly FlawedStore[] = [
  {
    flaw: 'has no compare-and-swap',
    clauses: ['CAS-1', 'CAS-2', 'CAS-3', 'CAS-6'],
    open: inMemory(WithoutCompare),
  },
  { flaw: 'reads, awaits, then writes', clauses: ['CAS-1', 'CAS-2'], open: inMemory(ReadThenWrite) },
  { flaw: 'inserts what it should update', clauses: ['CAS-1', 'CAS-2', 'CAS-6'], open: inMemory(Upsert) },
  {
    flaw: 'checks the guard outside of the write',
    clauses: ['GUARD-3', 'GUARD-4'],
    open: inMemory(GuardOutside),
  },
  {
    flaw: 'takes no keyring document for revision 0',
    clauses: ['GUARD-2'],
    open: inMemory(GuardFromNothing),
  },
  { flaw: 'calls a repetition a lost race', clauses: ['CAS-4', 'GUARD-1'], open: inMemory(LostRepetition) },
  {
    flaw: 'denies after a fence what was done before it',
    clauses: ['GUARD-1'],
    open: inMemory(DenyingFence),
  },
  { flaw: 'writes meta although it lost', clauses: ['CAS-3'], open: inMemory(MetaAnyway) },
  {
    flaw: 'makes one outcome of those of a call',
    clauses: ['CAS-5', 'GUARD-1'],
    open: inMemory(AllOrNothing),
  },
  { flaw: 'folds the case of names', clauses: ['READ-1', 'SCAN-1'], open: inMemory(FoldedNames) },
  { flaw: 'pages by position', clauses: ['SCAN-1'], open: inMemory(PagesByPosition) },
  { flaw: 'pages by KEK and name', clauses: ['SCAN-1'], open: inMemory(PagesByKek) },
  { flaw: 'answers larger pages than asked for', clauses: ['SCAN-1'], open: inMemory(LargePages) },
  { flaw: 'takes a prefix for a pattern', clauses: ['SCAN-1'], open: inMemory(PrefixAsPattern) },
  { flaw: 'leaves out KEKs whose id begins alike', clauses: ['SCAN-2'], open: inMemory(KekIdAsPrefix) },
  { flaw: 'scans sealed bytes', clauses: ['SCAN-3'], open: inMemory(WholeRecordsInScan) },
  { flaw: 'counts by a column of its own', clauses: ['CENSUS-1'], open: inMemory(CensusByColumn) },
  { flaw: 'counts one KEK after the other', clauses: ['CENSUS-2'], open: inMemory(CensusKekByKek) },
  { flaw: 'counts once and remembers', clauses: ['CENSUS-1', 'CENSUS-2'], open: inMemory(CachedCensus) },
  { flaw: 'writes documents at any revision', clauses: ['DOC-1'], open: inMemory(Blind) },
  {
    flaw: 'empties documents instead of deleting them',
    clauses: ['DOC-2'],
    open: inMemory(EmptiedDocuments),
  },
  { flaw: 'calls a repeated document a lost race', clauses: ['DOC-3'], open: inMemory(ForgetfulDocuments) },
  { flaw: 'cuts off sealed bytes that are too long', clauses: ['LIMIT-1'], open: inMemory(CutsSealedBytes) },
  {
    flaw: 'says unavailable after it has written',
    clauses: ['FAIL-1', 'FAIL-2'],
    open: inMemory(RashFailure),
  },
  { flaw: 'ends the client that it was given', clauses: ['FAIL-3'], open: withClient },
  { flaw: 'is new data at every connection', clauses: ['ID-1'], open: inMemory(EphemeralIncarnation) },
  {
    flaw: 'does not wait for open transactions',
    clauses: ['GUARD-3', 'GUARD-4'],
    open: openingTransactional(UnawaitedTransactions),
  },
  {
    flaw: 'shows a revision before it has settled',
    clauses: ['GUARD-4'],
    open: openingTransactional(EarlyRevision),
  },
  { flaw: 'lets errors of its driver through', clauses: ['FAIL-2'], open: openingRemote(RawErrors) },
  {
    flaw: 'says unavailable when an answer was cut',
    clauses: ['FAIL-1', 'FAIL-2'],
    open: openingRemote(Overconfident),
  },
]

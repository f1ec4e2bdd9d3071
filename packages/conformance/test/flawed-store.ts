import {
  type CallOptions,
  type CensusOptions,
  type Change,
  isEnvelopeError,
  KEYRING_DOCUMENT,
  MemoryStore,
  type MemoryStoreOptions,
  type Page,
  pageLimit,
  type ScanQuery,
  type SecretHeader,
  type SecretStore,
  type StoredDocument,
} from '@talos/envelope'
import type { OpenStore } from '@talos/envelope-conformance'
import { ForgetsParts, ReadsBeforeParts, SpeaksOfLastPart } from './divided-writes.ts'
import {
  ClosedRanges,
  NamesInShards,
  ShardsByPosition,
  ShardsByWrap,
  SharedBorders,
} from './flawed-shards.ts'
import {
  AllOrNothing,
  CensusByColumn,
  CutsSealedBytes,
  DenyingFence,
  FoldedNames,
  GuardFromNothing,
  GuardOutside,
  LostRepetition,
  MetaAnyway,
  RashFailure,
  ReadThenWrite,
  Upsert,
  WithoutCompare,
} from './flawed-writes.ts'
import { openingRemote, RemoteStore } from './remote-store.ts'
import { seeded } from './seeded.ts'
import {
  KeepsParameters,
  openingDisturbed,
  QuotesDamage,
  QuotesNames,
  TellsRequest,
  TellsWhatWaits,
} from './telling-stores.ts'
import { EarlyRevision, openingTransactional, UnawaitedTransactions } from './transactional-store.ts'

type ListQuery = Parameters<SecretStore['listDocuments']>[0]

const kekIdOf = ({ wrap }: SecretHeader) => wrap.split(':')[2] ?? ''

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

/** Does not tell that there are more than it has counted. */
class CutsCensus extends MemoryStore {
  override async census(options?: CensusOptions): Promise<ReadonlyMap<string, number>> {
    const { upTo = Infinity, upToOf = {} } = options ?? {}
    const counts = await super.census(options)
    return new Map(
      [...counts].map(([id, records]) => [id, Math.min(records, Math.max(1, upToOf[id] ?? upTo))]),
    )
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
    store: new Store({ disorder: { random: seeded(1) }, recordsPerShard: 1 }),
    close: async () => {},
  })

const withClient: OpenStore = async () => {
  const store = new EndsClient({ disorder: { random: seeded(1) }, recordsPerShard: 1 })
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
  {
    flaw: 'folds the case of names',
    clauses: ['READ-1', 'SCAN-1', 'SHARD-1', 'SHARD-2'],
    open: inMemory(FoldedNames),
  },
  { flaw: 'pages by position', clauses: ['SCAN-1', 'SHARD-1'], open: inMemory(PagesByPosition) },
  { flaw: 'pages by KEK and name', clauses: ['SCAN-1', 'SHARD-1'], open: inMemory(PagesByKek) },
  { flaw: 'answers larger pages than asked for', clauses: ['SCAN-1'], open: inMemory(LargePages) },
  { flaw: 'takes a prefix for a pattern', clauses: ['SCAN-1'], open: inMemory(PrefixAsPattern) },
  { flaw: 'leaves out KEKs whose id begins alike', clauses: ['SCAN-2'], open: inMemory(KekIdAsPrefix) },
  { flaw: 'scans sealed bytes', clauses: ['SCAN-3'], open: inMemory(WholeRecordsInScan) },
  { flaw: 'counts by a column of its own', clauses: ['CENSUS-1'], open: inMemory(CensusByColumn) },
  { flaw: 'counts one KEK after the other', clauses: ['CENSUS-2'], open: inMemory(CensusKekByKek) },
  { flaw: 'counts once and remembers', clauses: ['CENSUS-1', 'CENSUS-2'], open: inMemory(CachedCensus) },
  { flaw: 'stops counting at the limit', clauses: ['CENSUS-3'], open: inMemory(CutsCensus) },
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
  { flaw: 'forgets at an abort what it has written', clauses: ['FAIL-1'], open: inMemory(ForgetsParts) },
  {
    flaw: 'reads before each part and calls the whole unwritten',
    clauses: ['FAIL-1'],
    open: openingRemote(ReadsBeforeParts),
  },
  {
    flaw: 'says of a whole call what is true of its last part',
    clauses: ['FAIL-1'],
    open: openingRemote(SpeaksOfLastPart),
  },
  { flaw: 'keeps parameters on its errors', clauses: ['FAIL-4'], open: inMemory(KeepsParameters) },
  { flaw: 'quotes the names that it refuses', clauses: ['FAIL-4'], open: inMemory(QuotesNames) },
  { flaw: 'tells what was not answered', clauses: ['FAIL-4'], open: openingRemote(TellsRequest) },
  { flaw: 'tells what has to wait', clauses: ['FAIL-4'], open: openingDisturbed(TellsWhatWaits) },
  {
    flaw: 'loses new names at the borders of its shards',
    clauses: ['SHARD-1', 'SHARD-2'],
    open: inMemory(ClosedRanges),
  },
  { flaw: 'answers shards that overlap', clauses: ['SHARD-1', 'SHARD-2'], open: inMemory(SharedBorders) },
  {
    flaw: 'makes shards of positions',
    clauses: ['SHARD-1'],
    open: inMemory(ShardsByPosition),
  },
  { flaw: 'makes shards of wrap texts', clauses: ['SHARD-1'], open: inMemory(ShardsByWrap) },
  { flaw: 'writes names into its shards', clauses: ['SHARD-2'], open: inMemory(NamesInShards) },
  { flaw: 'quotes the damage', clauses: ['FAIL-4'], open: openingDisturbed(QuotesDamage) },
]

import { isKekId } from '../format/envelope-v2.ts'
import type { Runtime } from '../runtime.ts'
import type { CallOptions, Page, SecretStore, StoredDocument } from '../store/secret-store.ts'
import { MOST_EPOCH } from './keyring-document.ts'
import { isSourceName, MOST_SOURCES } from './retirement/declared-source.ts'

/** How an instance takes part in the fleet; see `openVault`. */
export type FleetRole = 'member' | 'observer' | 'none'

/** One KEK as an instance holds it. */
export interface HeldKek {
  readonly fingerprint: string
  /** Whether the instance may wrap under it: its key source allows that, and no import was given the same bytes. */
  readonly mayWrap: boolean
  /** Whether it has passed its self-test there. @defaultValue true: reports of versions without remote KEKs lack it */
  readonly tested?: boolean
}

/** What one instance says of itself, renewed with every heartbeat. */
export interface InstanceReport {
  readonly instanceId: string
  /** `unknown` is never written: this instance cannot read the report. @defaultValue `member`: older reports lack it */
  readonly role?: 'member' | 'observer' | 'unknown'
  /** The process as operators know it, such as `web-1/4711`. */
  readonly process: string
  /** How long others count it as live after its last heartbeat. */
  readonly leaseMs: number
  /** The KEK its key source names as current. */
  readonly wishedKekId: string
  /** The KEKs it holds and has tested. */
  readonly keks: Readonly<Record<string, HeldKek>>
  /** Epoch of the keyring document it last saw; 0 for none. */
  readonly epochSeen: number
  /** The envelope versions it can read. */
  readonly formats: readonly string[]
  /** The names of the sources declared there, at most 64. @defaultValue none: older reports lack it */
  readonly sources?: readonly string[]
  readonly startedAt: string
}

/** An instance as its document in the store shows it. */
export interface Sighting {
  readonly report: InstanceReport
  /** `silent`: its document is older than its lease, and not forgotten yet. */
  readonly state: 'live' | 'silent'
  /** Milliseconds since its last heartbeat, as far as this instance can tell. */
  readonly ageMs: number
}

/** The longest lease of an instance, in milliseconds. */
export const MOST_LEASE_MS = 600_000

const PREFIX = 'instance/'
const PAGE = 100
/** Reports this much older than their lease are swept away; until then they show who fell silent. */
const FORGET_AFTER_MS = 24 * 60 * 60 * 1000

/** The instances of a keyring domain, by their documents in the store. */
export class Fleet {
  /** How this instance takes part. */
  readonly role: FleetRole
  readonly #store: SecretStore
  readonly #runtime: Runtime
  readonly #instanceId: string
  readonly #watched = new Map<string, { readonly revision: number; readonly sinceMs: number }>()
  #revision = 0

  constructor(store: SecretStore, runtime: Runtime, instanceId: string, role: FleetRole = 'member') {
    this.role = role
    this.#store = store
    this.#runtime = runtime
    this.#instanceId = instanceId
  }

  /** Renews this instance's own document, if its role has one. */
  async report(report: InstanceReport, options: CallOptions): Promise<void> {
    if (this.role === 'none') return
    const key = PREFIX + this.#instanceId
    const value = JSON.stringify({ ...report, role: this.role })
    let revision = await this.#store.writeDocument(key, this.#revision, value, options)
    if (revision === null) {
      // Swept away after a long silence, or moved on by a write whose answer was lost: nobody else writes this key.
      const stored = await this.#store.readDocument(key, options)
      revision = await this.#store.writeDocument(key, stored?.revision ?? 0, value, options)
    }
    if (revision !== null) this.#revision = revision
  }

  /**
   * Reads the reports of all instances that are live, this one's own included. One that cannot be read is among them with the
   * role `unknown`, for as long as the longest lease: its instance may be live, and nothing tells what it holds.
   */
  async live(options: CallOptions): Promise<readonly InstanceReport[]> {
    return liveReports(await this.all(options))
  }

  /** Reads the reports of all instances that are not forgotten, live, silent and unknown, in one listing. */
  async all(options: CallOptions): Promise<readonly Sighting[]> {
    const sightings = new Map<string, Sighting>()
    let cursor: string | null = null
    do {
      const page: Page<StoredDocument> = await this.#store.listDocuments(
        { prefix: PREFIX, cursor, limit: PAGE },
        options,
      )
      for (const document of page.items) {
        if (sightings.has(document.key)) continue
        const report = readReport(document)
        const ageMs = this.#ageMs(document)
        if (ageMs > report.leaseMs + FORGET_AFTER_MS) {
          await this.#store.writeDocument(document.key, document.revision, null, options)
        } else {
          const state = ageMs <= report.leaseMs ? 'live' : 'silent'
          sightings.set(document.key, { report, state, ageMs })
        }
      }
      cursor = page.next
    } while (cursor !== null)
    for (const key of this.#watched.keys()) if (!sightings.has(key)) this.#watched.delete(key)
    return [...sightings.values()]
  }

  /** Takes this instance's document away, so that nobody waits for its lease. */
  async goodbye(options: CallOptions): Promise<void> {
    if (this.#revision === 0) return
    await this.#store.writeDocument(PREFIX + this.#instanceId, this.#revision, null, options)
    this.#revision = 0
  }

  /**
   * Age of a document: by the store's clock where it has one. Elsewhere by watching its revision on this process's own
   * monotonic clock, which can only overestimate how long to wait, never how long somebody has been silent.
   */
  #ageMs(document: StoredDocument): number {
    if (document.ageMs !== null) return document.ageMs
    const nowMs = this.#runtime.monotonicMs()
    const watched = this.#watched.get(document.key)
    if (watched?.revision === document.revision) return nowMs - watched.sinceMs
    this.#watched.set(document.key, { revision: document.revision, sinceMs: nowMs })
    return 0
  }
}

/** The reports among some sightings that rule P asks. */
export function liveReports(sightings: readonly Sighting[]): readonly InstanceReport[] {
  return sightings.filter(({ state }) => state === 'live').map(({ report }) => report)
}

/** Finds the KEK that an instance reports under an id. */
export function heldBy(report: InstanceReport, kekId: string): HeldKek | undefined {
  return Object.hasOwn(report.keks, kekId) ? report.keks[kekId] : undefined
}

/** Reads a report; one of another form is of an instance that holds nothing, as far as anybody can tell. */
function readReport({ key, value: text }: StoredDocument): InstanceReport {
  const instanceId = key.slice(PREFIX.length)
  const value = parsed(text)
  const { leaseMs: lease } = value
  const leaseMs = typeof lease === 'number' && lease >= 0 ? Math.min(lease, MOST_LEASE_MS) : MOST_LEASE_MS
  if (isReport(value) && value.instanceId === instanceId) {
    // A role of a later version is one that has to be waited for.
    return { ...value, leaseMs, role: value.role === 'observer' ? 'observer' : 'member' }
  }
  const nothing = { wishedKekId: '', keks: {}, epochSeen: 0, formats: [], startedAt: '' }
  return { instanceId, role: 'unknown', process: instanceId, leaseMs, ...nothing }
}

function parsed(text: string): Partial<InstanceReport> {
  try {
    return (JSON.parse(text) as Partial<InstanceReport> | null) ?? {}
  } catch {
    return {}
  }
}

function isReport(value: Partial<InstanceReport>): value is InstanceReport {
  const { wishedKekId, startedAt, epochSeen, keks, sources = [] } = value
  return (
    [value.process, wishedKekId, startedAt].every((each) => typeof each === 'string') &&
    isEpochSeen(epochSeen) &&
    Array.isArray(sources) &&
    sources.length <= MOST_SOURCES &&
    sources.every(isSourceName) &&
    typeof keks === 'object' &&
    keks !== null &&
    Object.entries(keks).every(([id, held]) => isKekId(id) && typeof held?.fingerprint === 'string')
  )
}

/** Documents are made above what is reported here: an epoch that none can have would make one that nobody can read. */
function isEpochSeen(epoch: unknown): boolean {
  return typeof epoch === 'number' && Number.isSafeInteger(epoch) && epoch >= 0 && epoch <= MOST_EPOCH
}

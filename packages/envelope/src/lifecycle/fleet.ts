import type { Runtime } from '../runtime.ts'
import type { CallOptions, Page, SecretStore, StoredDocument } from '../store/secret-store.ts'

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
  readonly startedAt: string
}

const PREFIX = 'instance/'
const PAGE = 100
/** Reports this much older than their lease are swept away; until then they show who fell silent. */
const FORGET_AFTER_MS = 24 * 60 * 60 * 1000

/** The instances of a keyring domain, by their documents in the store. */
export class Fleet {
  readonly #store: SecretStore
  readonly #runtime: Runtime
  readonly #instanceId: string
  readonly #watched = new Map<string, { readonly revision: number; readonly sinceMs: number }>()
  #revision = 0

  constructor(store: SecretStore, runtime: Runtime, instanceId: string) {
    this.#store = store
    this.#runtime = runtime
    this.#instanceId = instanceId
  }

  /** Renews this instance's own document. */
  async report(report: InstanceReport, options: CallOptions): Promise<void> {
    const key = PREFIX + this.#instanceId
    const value = JSON.stringify(report)
    let revision = await this.#store.writeDocument(key, this.#revision, value, options)
    if (revision === null) {
      // Swept away after a long silence, or moved on by a write whose answer was lost: nobody else writes this key.
      const stored = await this.#store.readDocument(key, options)
      revision = await this.#store.writeDocument(key, stored?.revision ?? 0, value, options)
    }
    if (revision !== null) this.#revision = revision
  }

  /** Reads the reports of all instances that are live, this one's own included. */
  async live(options: CallOptions): Promise<readonly InstanceReport[]> {
    const reports: InstanceReport[] = []
    const seen = new Set<string>()
    let cursor: string | null = null
    do {
      const page: Page<StoredDocument> = await this.#store.listDocuments(
        { prefix: PREFIX, cursor, limit: PAGE },
        options,
      )
      for (const document of page.items) {
        const report = parseReport(document.value)
        if (report === null || seen.has(document.key)) continue
        seen.add(document.key)
        const ageMs = this.#ageMs(document)
        if (ageMs <= report.leaseMs) reports.push(report)
        else if (ageMs > report.leaseMs + FORGET_AFTER_MS) {
          await this.#store.writeDocument(document.key, document.revision, null, options)
        }
      }
      cursor = page.next
    } while (cursor !== null)
    for (const key of this.#watched.keys()) if (!seen.has(key)) this.#watched.delete(key)
    return reports
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

/** A report that cannot be read is not live: its writer would not pass any check that rests on it. */
function parseReport(text: string): InstanceReport | null {
  try {
    const value = JSON.parse(text) as Partial<InstanceReport> | null
    if (typeof value?.instanceId !== 'string' || typeof value.process !== 'string') return null
    if (typeof value.leaseMs !== 'number' || typeof value.wishedKekId !== 'string') return null
    if (typeof value.keks !== 'object' || value.keks === null) return null
    return value as InstanceReport
  } catch {
    return null
  }
}

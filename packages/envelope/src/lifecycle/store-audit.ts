import { isEnvelopeError } from '../errors.ts'
import type { Runtime } from '../runtime.ts'
import { pageLimit } from '../store/limits.ts'
import type { CallOptions, Page, SecretStore, StoredDocument } from '../store/secret-store.ts'
import { AppendQueue } from './append-queue.ts'
import type { AuditEvent, AuditSink } from './audit.ts'

/** How much of the audit trail a store keeps. Whole pages of up to 50 events go, whenever a new one is begun. */
export interface AuditRetention {
  /** At most this many events: 1,000 to 1,000,000. @defaultValue 10_000 */
  readonly maxEvents?: number
  /** Nothing longer than this, in milliseconds: 60,000 or more. @defaultValue 34_560_000_000: 400 days */
  readonly maxAgeMs?: number
}

/** One page of a listing of the audit trail. */
export interface AuditPage extends Page<AuditEvent> {
  /** Keys of documents that cannot be read and were passed over, newest first. Their events are missing in `items`. */
  readonly unreadable: readonly string[]
}

/** Where the pages are, as the document `audit` says or, without it, as their keys do. */
interface Bounds {
  readonly newest: number
  readonly oldest: number
  /** Of the document; 0 for none. */
  readonly revision: number
  readonly stored: boolean
}

const POINTER = 'audit'
const PREFIX = 'audit/'
const PAGE_KEY = /^audit\/([1-9][0-9]{0,14})$/
const CURSOR = /^([1-9][0-9]{0,14})\.([1-9][0-9]{0,2})$/
const PAGE_EVENTS = 50
/** A page with as much takes no more. Together with the largest event it holds 48 KiB. */
const FULL_BYTES = 32_768
const MAX_EVENT_BYTES = 16_384
const DEFAULT_MAX_EVENTS = 10_000
const DEFAULT_MAX_AGE_MS = 400 * 24 * 60 * 60 * 1000
/** Lost answers after which a call gives up; every one may have taken the whole time of a call. */
const MOST_LOST_ANSWERS = 3
/** Documents read for one page of a listing. */
const MOST_READS = 20
/** Pages taken away at once, so that no single event pays for a year. */
const MOST_SWEPT = 20
const MOST_UNSETTLED = 1_000

/**
 * Keeps the audit trail in the documents of a store: pages `audit/1`, `audit/2` and so on, and `audit`, which says where they
 * begin and end. Any number of processes may append at once.
 *
 * It is as trustworthy as the store: who may write there can alter it.
 */
export class StoreAudit implements AuditSink {
  readonly #store: SecretStore
  readonly #runtime: Pick<Runtime, 'now'>
  readonly #maxPages: number
  readonly #maxAgeMs: number
  /** Events whose write was not answered, with the page it went to: it must not be made again on a later one. */
  readonly #unsettled = new Map<string, number>()
  readonly #queue = new AppendQueue({
    write: (events, options) => this.#appendTo(events, options),
    // Looked for on a page of its own, where the others are not.
    isSingle: ({ id }) => this.#unsettled.has(id),
  })

  /** @throws TypeError for a retention out of bounds. */
  constructor(store: SecretStore, runtime: Pick<Runtime, 'now'>, retention: AuditRetention = {}) {
    const { maxEvents = DEFAULT_MAX_EVENTS, maxAgeMs = DEFAULT_MAX_AGE_MS } = retention
    if (!Number.isSafeInteger(maxEvents) || maxEvents < 1_000 || maxEvents > 1_000_000) {
      throw new TypeError('maxEvents is a whole number from 1,000 to 1,000,000.')
    }
    if (!Number.isSafeInteger(maxAgeMs) || maxAgeMs < 60_000) {
      throw new TypeError('maxAgeMs is a whole number of milliseconds from 60,000.')
    }
    this.#store = store
    this.#runtime = runtime
    this.#maxPages = Math.floor(maxEvents / PAGE_EVENTS)
    this.#maxAgeMs = maxAgeMs
  }

  /**
   * Keeps one event. An event that is there already, by its id, is not written again. Calls that are made at once are written
   * together; each waits for those before it.
   *
   * @throws TypeError for an event of more than 16 KiB.
   * @throws StoreError `ERR_STORE_UNAVAILABLE`: certainly not written. `ERR_STORE_OUTCOME_UNKNOWN`: append it again.
   */
  async append(event: AuditEvent, options: CallOptions = {}): Promise<void> {
    if (Buffer.byteLength(JSON.stringify(event)) > MAX_EVENT_BYTES) {
      throw new TypeError(`An audit event has at most ${MAX_EVENT_BYTES} bytes of JSON.`)
    }
    await this.#queue.append(event, options)
  }

  /**
   * Reads the trail, newest first.
   *
   * @param query - `cursor` is `null` for the newest events, then `next` of the page before; it stays right while others
   * append. `limit` is the most events to answer, from 1; above 1,000 it counts as 1,000.
   * @returns One page. It may hold fewer events than asked for, or none, and not be the last.
   * @throws TypeError for a cursor or limit of the wrong form.
   * @throws StoreError `ERR_STORE_UNAVAILABLE`.
   */
  async list(
    query: { readonly cursor: string | null; readonly limit: number },
    options: CallOptions = {},
  ): Promise<AuditPage> {
    const limit = pageLimit(query.limit)
    const from = query.cursor === null ? null : parseCursor(query.cursor)
    const { newest, oldest } = await this.#bounds(options)
    let [page, before] = from ?? [await this.#lastFrom(newest, options), PAGE_EVENTS]
    const items: AuditEvent[] = []
    const unreadable: string[] = []
    for (let reads = 0; page >= oldest && reads < MOST_READS && items.length < limit; reads += 1) {
      const stored = await this.#store.readDocument(PREFIX + page, options)
      const events = stored === null ? [] : parsePage(stored.value)
      if (events === null) unreadable.push(PREFIX + page)
      const older = events?.slice(0, before) ?? []
      const left = Math.max(0, older.length - (limit - items.length))
      items.push(...older.slice(left).reverse())
      if (left > 0) before = left
      else [page, before] = [page - 1, PAGE_EVENTS]
    }
    return { items, next: page >= oldest ? `${page}.${before}` : null, unreadable }
  }

  /** Writes the first events that one page takes. */
  async #appendTo(events: readonly AuditEvent[], options: CallOptions): Promise<number> {
    const bounds = await this.#bounds(options)
    let page = Math.max(this.#unsettled.get(events[0]?.id ?? '') ?? bounds.newest, bounds.oldest)
    let fitting: Fitting
    for (let lost = 0; ; ) {
      const stored = await this.#store.readDocument(PREFIX + page, options)
      fitting = fit(stored, events)
      if (fitting.count === 0) {
        page += 1
        continue
      }
      if (fitting.value === null) break
      try {
        const revision = stored?.revision ?? 0
        if ((await this.#store.writeDocument(PREFIX + page, revision, fitting.value, options)) !== null) break
      } catch (error) {
        if (!isEnvelopeError(error) || error.code !== 'ERR_STORE_OUTCOME_UNKNOWN') throw error
        for (const { id } of events.slice(0, fitting.count)) this.#remember(id, page)
        lost += 1
        if (lost === MOST_LOST_ANSWERS) throw error
      }
    }
    for (const { id } of events.slice(0, fitting.count)) this.#unsettled.delete(id)
    if (!bounds.stored || page > bounds.newest) await this.#settle(page, options)
    return fitting.count
  }

  async #bounds(options: CallOptions): Promise<Bounds> {
    const stored = await this.#store.readDocument(POINTER, options)
    const parsed = stored === null ? null : parsePointer(stored.value)
    if (stored !== null && parsed !== null) return { ...parsed, revision: stored.revision, stored: true }
    // Never written yet, or lost: whatever pages there are say the same.
    let newest = 1
    let oldest = Number.MAX_SAFE_INTEGER
    let cursor: string | null = null
    do {
      const page: Page<StoredDocument> = await this.#store.listDocuments(
        { prefix: PREFIX, cursor, limit: MOST_READS },
        options,
      )
      for (const { key } of page.items) {
        const number = Number(PAGE_KEY.exec(key)?.[1])
        if (Number.isNaN(number)) continue
        newest = Math.max(newest, number)
        oldest = Math.min(oldest, number)
      }
      cursor = page.next
    } while (cursor !== null)
    return { newest, oldest: Math.min(oldest, newest), revision: stored?.revision ?? 0, stored: false }
  }

  /** The pointer lags behind when a process ended between beginning a page and saying so. */
  async #lastFrom(page: number, options: CallOptions): Promise<number> {
    for (let last = page; ; last += 1) {
      if ((await this.#store.readDocument(`${PREFIX}${last + 1}`, options)) === null) return last
    }
  }

  /** Says that a page was begun, then takes away what is not to be kept. The event is written already: nothing here fails it. */
  async #settle(page: number, options: CallOptions): Promise<void> {
    try {
      const { newest: known, oldest: first, revision } = await this.#bounds(options)
      const newest = Math.max(known, page)
      const pointTo = (oldest: number, expected: number) =>
        this.#store.writeDocument(POINTER, expected, JSON.stringify({ newest, oldest }), options)
      const written = await pointTo(first, revision)
      if (written === null) return
      let oldest = first
      while (oldest < newest && oldest < first + MOST_SWEPT) {
        const stored = await this.#store.readDocument(PREFIX + oldest, options)
        if (stored !== null) {
          if (oldest > newest - this.#maxPages && !this.#isExpired(stored)) break
          await this.#store.writeDocument(stored.key, stored.revision, null, options)
        }
        oldest += 1
      }
      if (oldest > first) await pointTo(oldest, written)
    } catch {
      // Whoever appends next finds the page beyond the pointer and makes up for it.
    }
  }

  /** By the store's clock where it has one. Elsewhere by the time in the newest event's id. */
  #isExpired({ value, ageMs }: StoredDocument): boolean {
    if (ageMs !== null) return ageMs > this.#maxAgeMs
    const newest = parsePage(value)?.at(-1)
    if (newest === undefined) return false
    return this.#runtime.now() - Number.parseInt(newest.id.replace('-', '').slice(0, 12), 16) > this.#maxAgeMs
  }

  #remember(eventId: string, page: number): void {
    this.#unsettled.set(eventId, page)
    const [longestAgo = ''] = this.#unsettled.keys()
    if (this.#unsettled.size > MOST_UNSETTLED) this.#unsettled.delete(longestAgo)
  }
}

/** What a page takes of some events: how many, those that it has counted, and its new value; `null` when it has them all. */
interface Fitting {
  readonly count: number
  readonly value: string | null
}

/** Takes them one after the other, until the page is full; one that cannot be read takes none. */
function fit(stored: StoredDocument | null, events: readonly AuditEvent[]): Fitting {
  const text = stored?.value ?? '[]'
  const there = parsePage(text)
  if (there === null) return { count: 0, value: null }
  const page = [...there]
  const ids = new Set(there.map(({ id }) => id))
  let bytes = Buffer.byteLength(text)
  let count = 0
  for (const event of events) {
    if (!ids.has(event.id)) {
      // Depends on the page alone, never on the event to be added: a page that is full stays so, for everybody.
      if (page.length >= PAGE_EVENTS || bytes >= FULL_BYTES) break
      page.push(event)
      ids.add(event.id)
      bytes += Buffer.byteLength(JSON.stringify(event)) + 1
    }
    count += 1
  }
  return { count, value: page.length === there.length ? null : JSON.stringify(page) }
}

/** `null` for a page that this version cannot read. */
function parsePage(text: string): readonly AuditEvent[] | null {
  const events = parse(text)
  return Array.isArray(events) && events.every(isEvent) ? events : null
}

function isEvent(value: unknown): value is AuditEvent {
  const event = value as Partial<AuditEvent> | null
  return [event?.id, event?.at, event?.action, event?.phase].every((text) => typeof text === 'string')
}

function parsePointer(text: string): Pick<Bounds, 'newest' | 'oldest'> | null {
  const { newest, oldest } = (parse(text) ?? {}) as Partial<Bounds>
  if (!Number.isSafeInteger(newest) || !Number.isSafeInteger(oldest)) return null
  const bounds = { newest, oldest } as Bounds
  return bounds.oldest >= 1 && bounds.oldest <= bounds.newest ? bounds : null
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function parseCursor(cursor: string): [page: number, before: number] {
  const [, page, before] = CURSOR.exec(cursor) ?? []
  if (page === undefined || before === undefined)
    throw new TypeError('cursor is what an earlier page answered.')
  return [Number(page), Number(before)]
}

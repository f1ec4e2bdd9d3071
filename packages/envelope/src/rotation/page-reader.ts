import { kekIdOfWrap } from '../format/envelope-v2.ts'
import type { Kek } from '../keyring/kek.ts'
import { type KeyringDocument, kekEntry } from '../lifecycle/keyring-document.ts'
import type { KeyringSnapshot } from '../lifecycle/keyring-state.ts'
import type { Page } from '../store/secret-store.ts'
import type { Patience } from './patience.ts'
import { type BatchBasis, type BatchPlan, planBatch } from './plan.ts'
import type { RewrapItem, RewrapTarget } from './rewrap-target.ts'
import type { RotationSurroundings } from './surroundings.ts'

/** A page that was planned before its turn; good for one revision of the keyring document. */
interface PlannedPage {
  readonly plan: BatchPlan
  readonly revision: number
}

/** A page of stale items. */
export interface ReadPage {
  readonly page: Page<RewrapItem>
  /** `null` for a page that has to be planned in its turn. */
  readonly planned: PlannedPage | null
}

/** Where and how pages are read. */
interface Reading {
  readonly target: RewrapTarget
  /** The shard of the store; `null` for everything. */
  readonly part: string | null
  /** Whether pages are asked for before their turn. */
  readonly readsAhead: boolean
}

/** How a page is read and planned. */
interface Basis {
  /** The most items of it. */
  readonly limit: number
  readonly snapshot: KeyringSnapshot
  readonly kek: Kek
}

/** A page that was asked for before its turn. */
interface PageAhead {
  readonly cursor: string
  readonly read: Promise<Page<RewrapItem>>
  readonly ready: Promise<ReadPage>
}

/** While one page is written, the next one is planned and the one behind it is read. */
const MOST_AHEAD = 2
/** While the first of them is read and planned nobody writes anything, so it is a short one; those behind it double. */
const FIRST_ITEMS = 250

/** Reads what is stale page by page; with no limit on the rate, pages come and are planned before their turn. */
export class PageReader {
  readonly #with: RotationSurroundings
  readonly #patience: Patience
  readonly #reading: Reading
  /** Consecutive pages, the next one first. */
  #ahead: PageAhead[] = []
  #mostItems = 0

  constructor(surroundings: RotationSurroundings, patience: Patience, reading: Reading) {
    this.#with = surroundings
    this.#patience = patience
    this.#reading = reading
  }

  /**
   * Reads the page at a cursor: the one that was asked for ahead, if it is that one.
   *
   * @param limit - The most items of a page that is asked for now.
   */
  async next(cursor: string | null, limit: number, snapshot: KeyringSnapshot, kek: Kek): Promise<ReadPage> {
    const basis = { limit, snapshot, kek }
    const expected = await this.#takeAhead(cursor)
    if (expected === null) this.#mostItems = this.#reading.readsAhead ? FIRST_ITEMS : limit
    const answer = expected ?? { page: await this.#read(cursor, basis), planned: null }
    const last = this.#ahead.at(-1)
    if (last === undefined) this.#askAhead(answer.page.next, basis)
    else this.#goOnBehind(last, basis)
    return answer
  }

  /** Waits for pages that were asked for ahead and are not wanted any more. */
  async settle(): Promise<void> {
    const unwanted = this.#ahead
    this.#ahead = []
    await Promise.allSettled(unwanted.map(({ ready }) => ready))
  }

  /** A page that failed ahead of time is asked for again when its turn comes, and so is what was to follow it. */
  async #takeAhead(cursor: string | null): Promise<ReadPage | null> {
    const [first] = this.#ahead
    const page = first?.cursor === cursor ? await first.ready.catch(() => null) : null
    if (page === null) await this.settle()
    else this.#ahead.shift()
    return page
  }

  #askAhead(cursor: string | null, basis: Basis): void {
    if (cursor === null || !this.#reading.readsAhead) return
    const before = this.#ahead.at(-1)
    const read = this.#read(cursor, basis)
    const ready = Promise.all([read, before?.ready]).then(async ([page]) => ({
      page,
      planned: await this.#planAhead(page, basis),
    }))
    ready.catch(() => null)
    const asked = { cursor, read, ready }
    this.#ahead.push(asked)
    this.#goOnBehind(asked, basis)
  }

  /** Asks for the page behind another one as soon as that one tells where it begins. */
  #goOnBehind(page: PageAhead, basis: Basis): void {
    const goOn = ({ next }: Page<RewrapItem>): void => {
      if (this.#ahead.at(-1) === page && this.#ahead.length < MOST_AHEAD) this.#askAhead(next, basis)
    }
    page.read.then(goOn, () => null)
  }

  #read(cursor: string | null, basis: Basis): Promise<Page<RewrapItem>> {
    const { target, part } = this.#reading
    const limit = Math.min(basis.limit, this.#mostItems)
    this.#mostItems *= 2
    return target.scan({ shard: part, cursor, limit, exceptKekId: basis.kek.id }, {})
  }

  /** Plans a page where that asks nobody: a key provider is asked for a page in its turn only. */
  async #planAhead(
    page: Page<RewrapItem>,
    { snapshot: { document, revision }, kek }: Basis,
  ): Promise<PlannedPage | null> {
    const isLocal = (kekId: string | null): boolean => {
      const held = kekId === null ? null : this.#with.resolve(kekId)
      return held !== null && held !== 'not_allowed' && held.suite === '0001'
    }
    const kekIds = new Set(page.items.map(({ wrap }) => kekIdOfWrap(wrap)))
    if (kek.suite !== '0001' || ![...kekIds].every(isLocal)) return null
    const basis = this.basis(document, kek, this.#patience.signal)
    return { plan: await planBatch(page.items, basis), revision }
  }

  /** What a page of this reader is planned by. */
  basis(document: KeyringDocument, kek: Kek, signal: AbortSignal): BatchBasis {
    return {
      source: this.#reading.target.source,
      target: kek,
      resolve: this.#with.resolve,
      isKnownKekId: (kekId: string) => kekEntry(document, kekId) !== undefined,
      known: new Map(),
      signal,
      turn: () => this.#patience.sleep(0),
    }
  }
}

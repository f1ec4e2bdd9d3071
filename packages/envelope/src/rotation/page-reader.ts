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
  /** Whether the next page is asked for before its turn. */
  readonly readsAhead: boolean
}

/** Reads what is stale page by page; with no limit on the rate, the next page comes and is planned while one is written. */
export class PageReader {
  readonly #with: RotationSurroundings
  readonly #patience: Patience
  readonly #reading: Reading
  #ahead: { readonly cursor: string; readonly page: Promise<ReadPage> } | null = null

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
    const { target, part, readsAhead } = this.#reading
    const read = (from: string | null): Promise<Page<RewrapItem>> =>
      target.scan({ shard: part, cursor: from, limit, exceptKekId: kek.id }, {})
    const ahead = this.#ahead?.cursor === cursor ? this.#ahead.page : null
    this.#ahead = null
    const found = ahead === null ? null : await ahead.catch(() => null)
    const answer = found ?? { page: await read(cursor), planned: null }
    const { next } = answer.page
    if (readsAhead && next !== null) {
      const page = read(next).then(async (page) => ({
        page,
        planned: await this.#planAhead(page, snapshot, kek),
      }))
      this.#ahead = { cursor: next, page }
      // A page that fails ahead of time is asked for again when its turn comes.
      page.catch(() => null)
    }
    return answer
  }

  /** Waits for a page that was asked for ahead and is not wanted any more. */
  async settle(): Promise<void> {
    await this.#ahead?.page.catch(() => null)
  }

  /** Plans a page where that asks nobody: a key provider is asked for a page in its turn only. */
  async #planAhead(
    page: Page<RewrapItem>,
    { document, revision }: KeyringSnapshot,
    kek: Kek,
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

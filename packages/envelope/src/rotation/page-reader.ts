import { kekIdOfWrap } from '../format/envelope-v2.ts'
import type { Kek } from '../keyring/kek.ts'
import { type KeyringDocument, kekEntry } from '../lifecycle/keyring-document.ts'
import type { KeyringSnapshot } from '../lifecycle/keyring-state.ts'
import { timestamp } from '../runtime.ts'
import type { Page, SecretHeader } from '../store/secret-store.ts'
import type { Patience } from './patience.ts'
import { type BatchBasis, type BatchPlan, planBatch } from './plan.ts'
import type { RotationSurroundings } from './surroundings.ts'

/** A page that was planned before its turn; good for one revision of the keyring document. */
interface PlannedPage {
  readonly plan: BatchPlan
  readonly revision: number
}

/** A page of stale headers. */
interface ReadPage {
  readonly page: Page<SecretHeader>
  /** `null` for a page that has to be planned in its turn. */
  readonly planned: PlannedPage | null
}

/** How pages are read. */
interface ReadingPace {
  readonly pageSize: number
  /** Whether the next page is asked for before its turn. */
  readonly readsAhead: boolean
}

/** Reads the stale records page by page; with no limit on the rate, the next page comes and is planned while one is written. */
export class PageReader {
  readonly #with: RotationSurroundings
  readonly #patience: Patience
  readonly #pace: ReadingPace
  #ahead: { readonly cursor: string; readonly page: Promise<ReadPage> } | null = null

  constructor(surroundings: RotationSurroundings, patience: Patience, pace: ReadingPace) {
    this.#with = surroundings
    this.#patience = patience
    this.#pace = pace
  }

  /** Reads the page at a cursor: the one that was asked for ahead, if it is that one. */
  async next(cursor: string | null, snapshot: KeyringSnapshot, target: Kek): Promise<ReadPage> {
    const read = (from: string | null): Promise<Page<SecretHeader>> =>
      this.#with.store.scan({ cursor: from, limit: this.#pace.pageSize, exceptKekId: target.id })
    const ahead = this.#ahead?.cursor === cursor ? this.#ahead.page : null
    this.#ahead = null
    const found = ahead === null ? null : await ahead.catch(() => null)
    const answer = found ?? { page: await this.#patience.insist(() => read(cursor)), planned: null }
    const { next } = answer.page
    if (this.#pace.readsAhead && next !== null) {
      const page = read(next).then((page) => ({ page, planned: this.#planAhead(page, snapshot, target) }))
      this.#ahead = { cursor: next, page }
      // A page that fails ahead of time is asked for again when its turn comes.
      page.catch(() => null)
    }
    return answer
  }

  /** Plans a page where that asks nobody: a key provider is asked for a page in its turn only. */
  #planAhead(
    page: Page<SecretHeader>,
    { document, revision }: KeyringSnapshot,
    target: Kek,
  ): PlannedPage | null {
    const isLocal = (kekId: string | null): boolean => {
      const kek = kekId === null ? null : this.#with.resolve(kekId)
      return kek !== null && kek !== 'not_allowed' && kek.suite === '0001'
    }
    const kekIds = new Set(page.items.map(({ wrap }) => kekIdOfWrap(wrap)))
    if (target.suite !== '0001' || ![...kekIds].every(isLocal)) return null
    const plan = planBatch(page.items, batchBasis(this.#with, document, target, this.#patience.signal))
    return plan instanceof Promise ? null : { plan, revision }
  }
}

/** What a page is planned by. */
export function batchBasis(
  { namespace, resolve, runtime }: RotationSurroundings,
  document: KeyringDocument,
  target: Kek,
  signal: AbortSignal,
): BatchBasis {
  return {
    namespace,
    target,
    resolve,
    isKnownKekId: (kekId: string) => kekEntry(document, kekId) !== undefined,
    at: timestamp(runtime),
    known: new Map(),
    signal,
  }
}

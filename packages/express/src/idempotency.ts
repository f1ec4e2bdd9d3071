import { createHash, randomUUID } from 'node:crypto'
import { isEnvelopeError, type SecretStore, type StoredDocument } from '@talos/envelope'
import { Problem } from './problem.ts'

/** An answer that can be given again. */
export interface KeptAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Readonly<Record<string, unknown>>
}

/** A request that came with a key. */
export interface KeyedRequest {
  /** What the client sent as `Idempotency-Key`. */
  readonly key: string
  /** Whose key it is: the same text of somebody else is another key. */
  readonly principal: string
  readonly method: string
  /** Below the mount. */
  readonly path: string
  /** What else decides what is done, such as `If-Match`. */
  readonly condition: string
  /** The body, parsed. */
  readonly body: unknown
}

/** How much is remembered, and for how long. */
export interface IdempotencyOptions {
  /** @defaultValue 86_400_000: a day */
  readonly keepMs?: number
  /** How long a request counts as being carried out; its process may have died since. @defaultValue 60_000 */
  readonly leaseMs?: number
  /** How long a request waits for the one with its key. @defaultValue 2_000 */
  readonly waitMs?: number
  /** The most keys kept. @defaultValue 10_000 */
  readonly mostKeys?: number
}

/** A key as its document holds it. Of the request only a digest, and never a value: no route with one takes a key. */
interface Entry {
  readonly fingerprint: string
  /** Tells who wrote the document: equal writes of two processes would both succeed. */
  readonly owner: string
  /** When it was written, by the clock of the process: for stores without one. */
  readonly at: number
  /** `null`: being carried out. `too_long`: carried out, its answer does not fit. */
  readonly answer: KeptAnswer | 'too_long' | null
}

const PREFIX = 'http-request/'
const KEY = /^[\x21-\x7e]{1,255}$/
const MOST_DOCUMENT_BYTES = 60_000
const PAGE = 100
/** After so many keys of its own, or so much time, a process looks whether something is to be swept. */
const SWEEP_AFTER = { keys: 100, ms: 600_000 } as const
const POLL_MS = 50

/**
 * Answers a request that came before with the answer that it got then. Keys are documents of the vault's store, so that it
 * does not matter which process gets the repetition.
 */
export class IdempotencyKeys {
  readonly #store: SecretStore
  readonly #keepMs: number
  readonly #leaseMs: number
  readonly #waitMs: number
  readonly #mostKeys: number
  #known = 0
  #sinceSweep = 0
  #sweptAtMs = Number.NEGATIVE_INFINITY
  #sweeping: Promise<void> | null = null

  constructor(store: SecretStore, options: IdempotencyOptions = {}) {
    this.#store = store
    this.#keepMs = options.keepMs ?? 86_400_000
    this.#leaseMs = options.leaseMs ?? 60_000
    this.#waitMs = options.waitMs ?? 2_000
    this.#mostKeys = options.mostKeys ?? 10_000
  }

  /**
   * Carries out a request unless one with its key has been.
   *
   * @param carryOut - Answers, also refusals; what it throws is not kept, and the key is free again.
   * @returns The answer, now or then.
   * @throws Problem `INVALID_IDEMPOTENCY_KEY`, `IDEMPOTENCY_KEY_REUSED`, `IDEMPOTENCY_IN_FLIGHT`,
   * `IDEMPOTENT_ANSWER_NOT_KEPT`, `IDEMPOTENCY_FULL`. StoreError, and what `carryOut` throws.
   */
  async run(
    request: KeyedRequest,
    carryOut: () => Promise<KeptAnswer>,
  ): Promise<KeptAnswer & { readonly replayed: boolean }> {
    if (!KEY.test(request.key)) throw new Problem('INVALID_IDEMPOTENCY_KEY')
    const documentKey = PREFIX + digestOf([request.principal, request.key])
    const fingerprint = fingerprintOf(request)
    await this.#sweepWhenDue()
    for (const givesUpAt = performance.now() + this.#waitMs; ; ) {
      const found = await this.#store.readDocument(documentKey)
      const entry = found === null || this.#isOver(found) ? null : entryOf(found)
      if (entry === null) {
        const claim = { fingerprint, owner: randomUUID(), at: Date.now(), answer: null }
        const revision = await this.#claim(documentKey, found?.revision ?? 0, claim)
        if (revision !== null) return await this.#carryOut(documentKey, revision, claim, carryOut)
        continue
      }
      if (entry.fingerprint !== fingerprint) throw new Problem('IDEMPOTENCY_KEY_REUSED')
      if (entry.answer === 'too_long') throw new Problem('IDEMPOTENT_ANSWER_NOT_KEPT')
      if (entry.answer !== null) return { ...entry.answer, replayed: true }
      if (performance.now() >= givesUpAt) {
        throw new Problem('IDEMPOTENCY_IN_FLIGHT', { headers: { 'Retry-After': '1' } })
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }

  async #claim(documentKey: string, expectedRevision: number, claim: Entry): Promise<number | null> {
    if (expectedRevision === 0 && this.#known >= this.#mostKeys) throw new Problem('IDEMPOTENCY_FULL')
    const revision = await this.#write(documentKey, expectedRevision, JSON.stringify(claim))
    if (revision !== null && expectedRevision === 0) {
      this.#known += 1
      this.#sinceSweep += 1
    }
    return revision
  }

  async #carryOut(
    documentKey: string,
    revision: number,
    claim: Entry,
    carryOut: () => Promise<KeptAnswer>,
  ): Promise<KeptAnswer & { readonly replayed: boolean }> {
    const beganMs = performance.now()
    let answer: KeptAnswer
    try {
      answer = await carryOut()
    } catch (error) {
      // Repeating it is right: what failed here may succeed then, and every route that takes keys looks at the state first.
      await this.#write(documentKey, revision, null).catch(() => {})
      throw error
    }
    const whole = JSON.stringify({ ...claim, answer })
    const fits = Buffer.byteLength(whole) <= MOST_DOCUMENT_BYTES
    const value = fits ? whole : JSON.stringify({ ...claim, answer: 'too_long' })
    // Later than that the key may be somebody else's. And where this cannot be written, a repetition looks at the state first.
    if (performance.now() - beganMs < this.#leaseMs) {
      await this.#write(documentKey, revision, value).catch(() => {})
    }
    return { ...answer, replayed: false }
  }

  /** Repeating a write that was not answered is right in any case: the store tells this writer's value from others. */
  async #write(documentKey: string, revision: number, value: string | null): Promise<number | null> {
    try {
      return await this.#store.writeDocument(documentKey, revision, value)
    } catch (error) {
      if (!isEnvelopeError(error) || error.code !== 'ERR_STORE_OUTCOME_UNKNOWN') throw error
      return await this.#store.writeDocument(documentKey, revision, value)
    }
  }

  #isOver(document: StoredDocument): boolean {
    const entry = entryOf(document)
    if (entry === null) return true
    const ageMs = document.ageMs ?? Date.now() - entry.at
    return ageMs > (entry.answer === null ? this.#leaseMs : this.#keepMs)
  }

  async #sweepWhenDue(): Promise<void> {
    const isFull = this.#known >= this.#mostKeys
    const waited = performance.now() - this.#sweptAtMs
    const isDue =
      this.#sinceSweep >= SWEEP_AFTER.keys || waited >= SWEEP_AFTER.ms || (isFull && waited >= 10_000)
    if (this.#sweeping === null && !isDue) return
    this.#sweeping ??= this.#sweep().finally(() => {
      this.#sweeping = null
    })
    await this.#sweeping
  }

  /** Takes away what is over, and counts what is left. */
  async #sweep(): Promise<void> {
    this.#sweptAtMs = performance.now()
    this.#sinceSweep = 0
    const left = new Set<string>()
    let cursor: string | null = null
    do {
      const page = await this.#store.listDocuments({ prefix: PREFIX, cursor, limit: PAGE })
      for (const document of page.items) {
        if (this.#isOver(document)) {
          await this.#store.writeDocument(document.key, document.revision, null)
          left.delete(document.key)
        } else {
          left.add(document.key)
        }
      }
      cursor = page.next
    } while (cursor !== null)
    this.#known = left.size
  }
}

/** What two requests with one key must have in common. */
function fingerprintOf({ method, path, principal, condition, body }: KeyedRequest): string {
  return digestOf([method, path, principal, condition, canonical(body)])
}

function digestOf(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

/** The same text for every spelling of a body; without one it is the empty object, which means the same everywhere. */
function canonical(body: unknown): string {
  return JSON.stringify(body ?? {}, (_name, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  )
}

/** `null` for what this version did not write. */
function entryOf({ value }: StoredDocument): Entry | null {
  try {
    const entry = JSON.parse(value) as Partial<Entry> | null
    return typeof entry?.fingerprint === 'string' && typeof entry.at === 'number' ? (entry as Entry) : null
  } catch {
    return null
  }
}

import type { CallOptions } from '../store/secret-store.ts'
import type { AuditEvent } from './audit.ts'

/** An event on its way, and whoever waits for it. */
interface Entry {
  readonly event: AuditEvent
  readonly options: CallOptions
  readonly kept: () => void
  readonly failed: (error: unknown) => void
}

/** How a queue writes. */
export interface AppendQueueParts {
  /** Writes as many as go together, from the first, and answers how many that were. */
  readonly write: (events: readonly AuditEvent[], options: CallOptions) => Promise<number>
  /** Whether an event goes alone. */
  readonly isSingle: (event: AuditEvent) => boolean
}

const MOST_AT_ONCE = 50

/**
 * Appends the events of one process to something that is written as a whole. What comes while a write is under way waits for
 * its end and goes together: calls that are made at once do not take the page from each other again and again.
 */
export class AppendQueue {
  readonly #parts: AppendQueueParts
  readonly #entries: Entry[] = []
  /** By the id of the event: what its latest call waits for. */
  readonly #underWay = new Map<string, Promise<void>>()
  #isWriting = false

  constructor(parts: AppendQueueParts) {
    this.#parts = parts
  }

  /** An event that comes again while it is under way waits for that: on a later page it would not be found. */
  append(event: AuditEvent, options: CallOptions): Promise<void> {
    const { id } = event
    const enqueue = (): Promise<void> => this.#enqueue(event, options)
    const appending = this.#underWay.get(id)?.catch(enqueue) ?? enqueue()
    this.#underWay.set(id, appending)
    const forget = (): void => {
      if (this.#underWay.get(id) === appending) this.#underWay.delete(id)
    }
    appending.then(forget, forget)
    return appending
  }

  #enqueue(event: AuditEvent, options: CallOptions): Promise<void> {
    return new Promise((kept, failed) => {
      this.#entries.push({ event, options, kept, failed })
      if (!this.#isWriting) void this.#writeAll()
    })
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true
    while (this.#entries.length > 0) await this.#writeNext()
    this.#isWriting = false
  }

  async #writeNext(): Promise<void> {
    const group = this.#group()
    try {
      const count = await this.#parts.write(
        group.map(({ event }) => event),
        optionsOf(group),
      )
      for (const { kept } of this.#entries.splice(0, count)) kept()
    } catch (error) {
      for (const { failed } of this.#entries.splice(0, group.length)) failed(error)
    }
  }

  /** The first entries that may go together; a call that was given up takes no other with it. */
  #group(): readonly Entry[] {
    const isSingle = ({ event, options }: Entry) =>
      options.signal?.aborted === true || this.#parts.isSingle(event)
    const entries = this.#entries.slice(0, MOST_AT_ONCE)
    const end = entries.findIndex(isSingle)
    return end === -1 ? entries : entries.slice(0, Math.max(1, end))
  }
}

/** Of several calls nobody's end is the end of the others: they have as long as the most patient one. */
function optionsOf(group: readonly Entry[]): CallOptions {
  const [{ options } = { options: {} }] = group
  if (group.length === 1) return options
  const limits = group.flatMap(({ options: { timeoutMs } }) => timeoutMs ?? [])
  return limits.length === group.length ? { timeoutMs: Math.max(...limits) } : {}
}

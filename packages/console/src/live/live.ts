import type { AdminClient } from '../api/client.ts'
import { readEvents } from '../api/event-stream.ts'
import type { LiveEvent } from '../api/types.ts'

/** `live`: events come as they happen. `polling`: no stream, pages ask again and again. `lost`: nothing answers. */
export type LiveState = 'connecting' | 'live' | 'polling' | 'lost'

type Kind = LiveEvent['event']
type DataOf<K extends Kind> = Extract<LiveEvent, { event: K }>['data']
type Listener = (data: unknown) => void

const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 30_000

/**
 * Follows the events of the API while somebody is signed in. Every event is a whole state, so a page needs nothing but the
 * newest of its kind; without a stream pages ask for the same by themselves.
 */
export class Live {
  readonly #client: AdminClient
  readonly #listeners = new Map<Kind, Set<Listener>>()
  readonly #watchers = new Set<(state: LiveState) => void>()
  readonly #ended = new AbortController()
  #state: LiveState = 'connecting'

  constructor(client: AdminClient) {
    this.#client = client
  }

  get state(): LiveState {
    return this.#state
  }

  /** Follows until {@link Live.end}. */
  async follow(): Promise<void> {
    const { signal } = this.#ended
    let pauseMs = FIRST_PAUSE_MS
    while (!signal.aborted) {
      try {
        const stream = await this.#client.events({ signal })
        pauseMs = FIRST_PAUSE_MS
        this.#become('live')
        for await (const { type, data } of readEvents(stream)) this.#tell(type, data)
        // The server ends long streams, to be asked for the next one: that is no reason to ask for everything else.
      } catch {
        // Pages go on by asking, and say themselves what does not answer.
        if (!signal.aborted && this.#state !== 'lost') this.#become('polling')
      }
      if (signal.aborted) return
      await pause(pauseMs, signal)
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
    }
  }

  end(): void {
    this.#ended.abort()
    this.#listeners.clear()
    this.#watchers.clear()
  }

  /** Says whether a page's own question was answered, which tells a missing stream from a missing server. */
  answered(isThere: boolean): void {
    if (!isThere) this.#become('lost')
    else if (this.#state === 'lost') this.#become('polling')
  }

  on<K extends Kind>(kind: K, listener: (data: DataOf<K>) => void): () => void {
    const listeners = this.#listeners.get(kind) ?? new Set()
    this.#listeners.set(kind, listeners)
    listeners.add(listener as Listener)
    return () => listeners.delete(listener as Listener)
  }

  watch(watcher: (state: LiveState) => void): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  #become(state: LiveState): void {
    if (this.#state === state) return
    this.#state = state
    for (const watcher of this.#watchers) watcher(state)
  }

  #tell(type: string, text: string): void {
    const listeners = this.#listeners.get(type as Kind)
    if (listeners === undefined) return
    const data: unknown = JSON.parse(text)
    for (const listener of listeners) listener(data)
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
    function done() {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
  })
}

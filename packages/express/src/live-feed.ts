import type { RotationOperation, SecretVault, VaultStatus } from '@talos/envelope'
import { describeInstances } from './handlers/fleet.ts'
import { describeKeks } from './handlers/keks.ts'
import type { EventFeed } from './handlers/live.ts'
import { describeOperation } from './handlers/rotation.ts'
import { Problem } from './problem.ts'
import type { LiveEvent } from './schemas/events.ts'
import { problemOf } from './vault-problem.ts'

/** A client of the feed. */
interface Follower {
  readonly controller: ReadableStreamDefaultController<string>
  readonly sinceMs: number
  readonly mayFollow: () => Promise<boolean>
  /** Whether it is being asked for, which may take longer than a heartbeat. */
  isAsked: boolean
  /** Whether something waited for it at the last heartbeat. */
  isBehind: boolean
}

/** How often the vault is looked at and clients hear something, in milliseconds, and who hears of problems. */
export interface LiveFeedOptions {
  /** @defaultValue 1_000 */
  readonly rotationsEveryMs?: number
  /** @defaultValue 5_000 */
  readonly statusEveryMs?: number
  /** @defaultValue 15_000 */
  readonly heartbeatMs?: number
  /** Then the client connects again, with a token that may have been taken away since. @defaultValue 900_000 */
  readonly longestMs?: number
  /** Hears what clients are told when the vault cannot be looked at. @defaultValue nobody does */
  readonly onProblem?: (problem: Problem) => void
}

/** A status counts records: at most a twentieth of the time goes into it. */
const STATUS_SHARE = 20
/** Characters that wait for a client, beyond what the connection itself holds. */
const MOST_WAITING = 262_144
const ROTATIONS = 10

/**
 * Looks at the vault while anybody wants to know, once for all of them, and tells what has changed. Events are states, not
 * steps: a client that has missed some is right again with the next one.
 */
export class LiveFeed implements EventFeed {
  readonly #vault: SecretVault
  readonly #most: number
  readonly #times: Required<Omit<LiveFeedOptions, 'onProblem'>>
  readonly #onProblem: (problem: Problem) => void
  readonly #followers = new Set<Follower>()
  /** What was told last, by kind and id: for whoever comes, and to tell what is new. */
  readonly #told = new Map<string, { readonly state: string; readonly frame: string }>()
  #looking: AbortController | null = null

  constructor(vault: SecretVault, most: number, options: LiveFeedOptions = {}) {
    const { rotationsEveryMs = 1_000, statusEveryMs = 5_000 } = options
    const { heartbeatMs = 15_000, longestMs = 900_000, onProblem = () => {} } = options
    this.#vault = vault
    this.#most = most
    this.#onProblem = onProblem
    this.#times = { rotationsEveryMs, statusEveryMs, heartbeatMs, longestMs }
  }

  /**
   * @param mayFollow - Asked with every heartbeat: the stream ends when it says no, or fails.
   * @throws Problem `TOO_MANY_STREAMS`.
   */
  open(mayFollow: () => Promise<boolean>): ReadableStream<string> {
    if (this.#followers.size >= this.#most) {
      throw new Problem('TOO_MANY_STREAMS', { headers: { 'Retry-After': '30' } })
    }
    let follower: Follower | undefined
    return new ReadableStream<string>(
      {
        start: (controller) => {
          follower = { controller, mayFollow, sinceMs: performance.now(), isAsked: false, isBehind: false }
          this.#followers.add(follower)
          controller.enqueue('retry: 2000\n\n')
          for (const { frame } of this.#told.values()) controller.enqueue(frame)
          this.#begin()
        },
        cancel: () => {
          if (follower !== undefined) this.#leave(follower)
        },
      },
      { highWaterMark: MOST_WAITING, size: (text) => text.length },
    )
  }

  /** Ends every stream. */
  close(): void {
    for (const follower of [...this.#followers]) this.#end(follower)
  }

  #begin(): void {
    if (this.#looking !== null) return
    this.#looking = new AbortController()
    void this.#look(this.#looking.signal)
    void this.#beat(this.#looking.signal)
  }

  async #look(signal: AbortSignal): Promise<void> {
    let statusDueMs = 0
    let states = ''
    while (!signal.aborted) {
      try {
        const operations = await this.#vault.rotations.list({ limit: ROTATIONS, signal })
        if (signal.aborted) return
        for (const operation of [...operations].reverse()) this.#tellRotation(operation)
        const seen = operations.map(({ id, status, pass }) => `${id} ${status} ${pass}`).join()
        if (performance.now() >= statusDueMs || seen !== states) {
          const beganMs = performance.now()
          const status = await this.#vault.status({ signal })
          if (signal.aborted) return
          this.#tellStatus(status)
          const endedMs = performance.now()
          statusDueMs = endedMs + Math.max(this.#times.statusEveryMs, STATUS_SHARE * (endedMs - beganMs))
          states = seen
        }
        this.#told.delete('problem')
      } catch (error) {
        if (signal.aborted) return
        const problem = problemOf(error)
        this.#tellProblem(problem)
        if (problem.code === 'VAULT_CLOSED') return this.close()
        statusDueMs = 0
      }
      await pause(this.#times.rotationsEveryMs, signal)
    }
  }

  #tellRotation(operation: RotationOperation): void {
    const data = describeOperation(operation)
    this.#tell(`rotation ${operation.id}`, { event: 'rotation', data }, data)
    const kept = [...this.#told.keys()].filter((key) => key.startsWith('rotation '))
    for (const key of kept.slice(0, -ROTATIONS)) this.#told.delete(key)
  }

  #tellStatus(status: VaultStatus): void {
    const keks = describeKeks(status)
    this.#tell('keks', { event: 'keks', data: keks }, { ...keks, counts: { ...keks.counts, as_of: null } })
    const fleet = describeInstances(status)
    const ageless = fleet.instances.map((instance) => ({ ...instance, age_ms: null }))
    this.#tell('instances', { event: 'instances', data: fleet }, { epoch: fleet.epoch, ageless })
  }

  #tellProblem(problem: Problem): void {
    const data = problem.toJSON() as (LiveEvent & { event: 'problem' })['data']
    // The states are told anew when the vault can be looked at again: that is how a client knows.
    const wasTold = this.#told.get('problem')
    this.#told.clear()
    if (wasTold !== undefined) this.#told.set('problem', wasTold)
    // A vault that was closed is none: somebody meant it.
    if (wasTold === undefined && problem.code !== 'VAULT_CLOSED') this.#onProblem(problem)
    this.#tell('problem', { event: 'problem', data }, data.code)
  }

  /** Tells everybody, unless it is what was told last. `state` is what must differ. */
  #tell(key: string, { event, data }: LiveEvent, state: unknown): void {
    const text = JSON.stringify(state)
    if (this.#told.get(key)?.state === text) return
    const frame = `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`
    this.#told.set(key, { state: text, frame })
    this.#send(frame)
  }

  /** Keeps connections open, and ends those that take nothing any more, have been open for long or may not go on. */
  async #beat(signal: AbortSignal): Promise<void> {
    for (;;) {
      await pause(this.#times.heartbeatMs, signal)
      if (signal.aborted) return
      const nowMs = performance.now()
      for (const follower of [...this.#followers]) {
        const isBehind = (follower.controller.desiredSize ?? 0) < MOST_WAITING
        if (nowMs - follower.sinceMs >= this.#times.longestMs) this.#end(follower)
        else if (isBehind && follower.isBehind) this.#drop(follower)
        else void this.#endUnlessAllowed(follower)
        follower.isBehind = isBehind
      }
      this.#send(':\n\n')
    }
  }

  async #endUnlessAllowed(follower: Follower): Promise<void> {
    if (follower.isAsked) return
    follower.isAsked = true
    // Who decides and cannot is asked anew when the client comes back, and the host hears of it then.
    const isAllowed = await follower.mayFollow().catch(() => false)
    follower.isAsked = false
    if (!isAllowed && this.#followers.has(follower)) this.#end(follower)
  }

  #send(frame: string): void {
    for (const follower of [...this.#followers]) {
      if ((follower.controller.desiredSize ?? 0) < frame.length) this.#drop(follower)
      else follower.controller.enqueue(frame)
    }
  }

  #drop(follower: Follower): void {
    this.#leave(follower)
    follower.controller.error(new Error('The client does not take its events.'))
  }

  #end(follower: Follower): void {
    this.#leave(follower)
    follower.controller.close()
  }

  #leave(follower: Follower): void {
    this.#followers.delete(follower)
    if (this.#followers.size > 0) return
    this.#looking?.abort()
    this.#looking = null
    this.#told.clear()
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    timer.unref()
    signal.addEventListener('abort', done)
    if (signal.aborted) done()
  })
}

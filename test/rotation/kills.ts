import type { FleetRole, RotationOperation, SecretVault } from '@talos/envelope'
import { interceptStore } from '@talos/envelope/testing'
import { dividedStore } from './divided-store.ts'
import { type KekId, kekTexts, LEASE_MS, openInstance } from './instances.ts'
import { type Place, placeOn, type StoreName } from './places.ts'
import type { Death, Task } from './protocol.ts'
import type { Rotators } from './rotators.ts'

/** A rotation that is cut short at each of its store calls. */
export interface Cut {
  readonly title: string
  readonly act: 'rotate' | 'resume' | 'cancel'
  readonly shards: number
  /** Whether another instance is open all along, or is started once the first one is dead. */
  readonly beside: boolean
  /** Whether a process dies before and after each call, or before one and after the next: the time of a test is limited. */
  readonly deaths: 'both' | 'in turn'
}

/** What every store goes through. */
export const CUTS: readonly Cut[] = [
  { title: 'begun, two shards', act: 'rotate', shards: 2, beside: false, deaths: 'both' },
  {
    title: 'begun beside a live instance, two shards',
    act: 'rotate',
    shards: 2,
    beside: true,
    deaths: 'in turn',
  },
  { title: 'resumed after a pause, two shards', act: 'resume', shards: 2, beside: false, deaths: 'in turn' },
  { title: 'cancelled in its middle, two shards', act: 'cancel', shards: 2, beside: false, deaths: 'both' },
]

/** As stores without shards are rotated, and small ones: the calls are those of every other shard. */
export const ONE_SHARD: Cut = {
  title: 'begun, one shard',
  act: 'rotate',
  shards: 1,
  beside: false,
  deaths: 'both',
}

const NO_CUT: Cut = { title: '', act: 'rotate', shards: 2, beside: false, deaths: 'both' }

/** What became of a rotation after its process died, or did not. */
export interface Aftermath {
  readonly killed: boolean
  /** Store calls that the process made; 0 when it was killed. */
  readonly calls: number
  /** From the death of the process to the end of the operation. */
  readonly tookMs: number
  /** What does not hold; empty when all does. */
  readonly faults: readonly string[]
}

/** A dead worker's shards are taken over within the lease and so much more. */
export const GRACE_MS = 5_000
const SECRETS = 25
const PAGE_SIZE = 7
const POLL_MS = 25
const NAMES = Array.from({ length: SECRETS }, (_, n) => `secret-${String(n).padStart(2, '0')}`)

/** One store on which one rotation after the other is cut short. */
export class Lane {
  readonly #place: Place
  readonly #rotators: Rotators
  #cut: Cut = NO_CUT

  private constructor(place: Place, rotators: Rotators) {
    this.#place = place
    this.#rotators = rotators
  }

  /** Fills a place with secrets under `v1`. */
  static async open(store: StoreName, rotators: Rotators): Promise<Lane> {
    const lane = new Lane(await placeOn(store), rotators)
    const vault = await lane.#open(['v1'])
    for (const name of NAMES) await vault.put(name, secretOf(name))
    await vault.close()
    await lane.#place.keep('filled')
    await lane.#pauseHalfWay()
    await lane.#place.keep('paused')
    return lane
  }

  close(): Promise<void> {
    return this.#place.close()
  }

  /** Has a process do the work and die, and another instance carry on. */
  async run(cut: Cut, death: Death | null): Promise<Aftermath> {
    const { act, beside } = cut
    this.#cut = cut
    await this.#place.putBack(act === 'resume' ? 'paused' : 'filled')
    const live = beside ? await this.#open(['v1', 'v2']) : null
    const rotator = await this.#rotators.take()
    const paused = act === 'resume' ? await this.#newest() : null
    rotator.give(this.#task(death, paused?.id ?? null))
    const end = await rotator.end()
    const diedMs = end.how === 'killed' ? end.atMs : performance.now()
    const survivor = live ?? (await this.#open(['v1', 'v2']))
    const id = await this.#carryOn(survivor)
    const operation = await this.#final(survivor, id, diedMs)
    const tookMs = performance.now() - diedMs
    const faults = [...this.#faultsOf(operation, tookMs), ...(await this.#faultsOfValues(survivor))]
    if (operation?.status === 'cancelled') {
      const again = await survivor.rotate()
      const followed = await this.#final(survivor, again.id, performance.now())
      if (followed?.status !== 'completed') faults.push(`the rotation after it is ${followed?.status}`)
      const still = await survivor.rotations.get(id)
      if (still?.status !== 'cancelled') faults.push(`a cancelled operation became ${still?.status}`)
    }
    await survivor.close()
    faults.push(...(await this.#faultsUnderTarget()))
    return {
      killed: end.how === 'killed',
      calls: end.how === 'killed' ? 0 : end.calls,
      tookMs,
      faults,
    }
  }

  /** What an operator does whose call was not answered: the same again, unless it has taken effect. */
  async #carryOn(survivor: SecretVault): Promise<string> {
    const begun = await this.#newest()
    if (begun === null) return (await survivor.rotate({ concurrency: this.#cut.shards })).id
    if (this.#cut.act === 'resume' && begun.status === 'paused') await survivor.rotations.resume(begun.id)
    if (this.#cut.act === 'cancel' && begun.status === 'running')
      // It may be over by then.
      await survivor.rotations.cancel(begun.id).catch(() => null)
    return begun.id
  }

  async #newest(): Promise<{ readonly id: string; readonly status: string } | null> {
    const stored = await this.#place.store.readDocument('rotation')
    return stored === null ? null : JSON.parse(stored.value)
  }

  /** Waits for the end of an operation, and some time longer than that may take. */
  async #final(vault: SecretVault, id: string, sinceMs: number): Promise<RotationOperation | null> {
    for (;;) {
      const operation = await vault.rotations.get(id)
      const isOver = operation === null || !['running', 'paused'].includes(operation.status)
      if (isOver || performance.now() - sinceMs > 2 * (LEASE_MS + GRACE_MS)) return operation
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }

  #faultsOf(operation: RotationOperation | null, tookMs: number): string[] {
    if (operation === null) return ['the operation is gone']
    const { status, totals } = operation
    const faults: string[] = []
    const wanted = this.#cut.act === 'cancel' ? ['cancelled', 'completed'] : ['completed']
    if (!wanted.includes(status)) faults.push(`the operation is ${status}`)
    if (tookMs > LEASE_MS + GRACE_MS) faults.push(`it took ${Math.round(tookMs)} ms`)
    const { scanned, rewrapped, alreadyCurrent, changed, deleted, failed } = totals
    const sum = rewrapped + alreadyCurrent + changed + deleted + failed
    if (scanned !== sum) faults.push(`scanned ${scanned} are ${sum}`)
    if (rewrapped > SECRETS || changed + deleted + failed > 0) faults.push(JSON.stringify(totals))
    return faults
  }

  async #faultsOfValues(vault: SecretVault): Promise<string[]> {
    const secrets = await vault.getMany(NAMES)
    return NAMES.flatMap((name, index) =>
      secrets[index]?.text() === secretOf(name) ? [] : [`${name} is not what it was`],
    )
  }

  /** Opens everything with the target alone. */
  async #faultsUnderTarget(): Promise<string[]> {
    const census = await this.#place.store.census()
    if (census.get('v2') !== SECRETS || census.size !== 1) return [`census ${JSON.stringify([...census])}`]
    const vault = await this.#open(['v2'], 'none')
    try {
      return await this.#faultsOfValues(vault)
    } finally {
      await vault.close()
    }
  }

  /** Begins a rotation and pauses it when its second batch is written. */
  async #pauseHalfWay(): Promise<void> {
    const paused = Promise.withResolvers<void>()
    let writes = 0
    const store = interceptStore(this.#place.store, async ({ method, proceed }) => {
      const answer = await proceed()
      if (method === 'write') writes += 1
      if (method === 'write' && writes === 2) {
        const id = (await this.#newest())?.id ?? ''
        await vault.rotations.pause(id).then(() => paused.resolve(), paused.reject)
      }
      return answer
    })
    const vault = await this.#open(['v1', 'v2'], 'member', store)
    await vault.rotate({ concurrency: this.#cut.shards })
    await paused.promise
    await vault.close()
  }

  #open(
    kekIds: readonly KekId[],
    fleet: FleetRole = 'member',
    store = this.#place.store,
  ): Promise<SecretVault> {
    const division = { pageSize: PAGE_SIZE, shards: this.#cut.shards }
    return openInstance(dividedStore(store, division), kekIds, { fleet })
  }

  #task(death: Death | null, operationId: string | null): Task {
    const { act, shards } = this.#cut
    const { address } = this.#place
    const division = { pageSize: PAGE_SIZE, shards }
    const instance = { address, keks: kekTexts(), currentKekId: 'v2', leaseMs: LEASE_MS, ...division }
    return { ...instance, act, operationId, ratePerSecond: null, death }
  }
}

function secretOf(name: string): string {
  return `value of ${name}`
}

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { generateKek } from '@talos/envelope'
import { afterAll, expect, onTestFinished } from 'vitest'
import { until } from '../../../examples/gateway/demo/checks.ts'
import { database } from '../../../packages/postgres/test/database.ts'
import { service } from '../../services/service.ts'
import { type Environment, Instance, Refused } from './instance.ts'
import { Journal } from './journal.ts'
import { Ledger } from './ledger.ts'
import { describeInstance, describeReadiness, describeReason, pendingOf, type Truth } from './truth.ts'

/** A process that pauses for as long is taken for gone, and these share two processors with everything else. */
export const LEASE_MS = 4_500
const SEEDS = 20
const OWN_NAMES = 6
const SLOTS = ['a', 'b', 'c', 'd']
const TRUTH_MS = 20_000

/** Where processes leave what they compiled for the next ones: of a hundred that start most start in half the time. */
const compiled = mkdtempSync(join(tmpdir(), 'deploys-'))
afterAll(() => rmSync(compiled, { recursive: true, force: true }))

/** What a pod template may hold: `added` has v2 and names v1, `wrong` has other bytes under v2. */
export type Template = 'old' | 'added' | 'new' | 'wrong' | 'only v2'

/** One database with the instances of a service on it, and all that they have written. */
export class Stage {
  readonly ledger = new Ledger()
  readonly journal: Journal
  readonly templates: Readonly<Record<Template, Environment>>
  /** Every process there ever was. */
  readonly instances: Instance[] = []
  /** When processes ended or were frozen: milliseconds since 1970. */
  readonly #goneAt: number[] = []
  readonly #settings: { readonly url: string; readonly schema: string; readonly leaseMs: number }

  private constructor(journal: Journal, settings: { url: string; schema: string; leaseMs: number }) {
    this.journal = journal
    this.#settings = settings
    const [v1, v2, other] = [generateKek(), generateKek(), generateKek()]
    this.templates = {
      old: { keks: { v1 }, current: 'v1' },
      added: { keks: { v1, v2 }, current: 'v1' },
      new: { keks: { v1, v2 }, current: 'v2' },
      wrong: { keks: { v1, v2: other }, current: 'v2' },
      'only v2': { keks: { v2 }, current: 'v2' },
    }
  }

  /** A fresh schema with three instances under v1 and some secrets that nobody will write again. */
  static async open(): Promise<Stage> {
    const tables = database(await service('postgres-18'))
    await tables.migrated()
    const journal = await Journal.install(tables)
    onTestFinished(async () => {
      await journal.close()
    })
    const stage = new Stage(journal, { url: tables.url, schema: tables.schema, leaseMs: LEASE_MS })
    onTestFinished(async () => {
      await Promise.all(stage.instances.map((instance) => instance.kill()))
    })
    await Promise.all(['a', 'b', 'c'].map((slot) => stage.start(slot, 'old')))
    for (let n = 0; n < SEEDS; n += 1) await stage.put('a', `seed-${n}`)
    return stage
  }

  /** The newest process of a slot. */
  of(slot: string): Instance {
    const found = this.instances.findLast((instance) => instance.slot === slot)
    if (found === undefined) throw new Error(`no process of ${slot} was started`)
    return found
  }

  get running(): readonly Instance[] {
    return this.instances.filter(({ isRunning }) => isRunning)
  }

  get promotions(): number {
    return this.instances.reduce((sum, { promotedAt }) => sum + promotedAt.length, 0)
  }

  /** When the last process that was gone before a moment went. */
  readonly lastGoneBefore = (at: number): number => this.#goneAt.findLast((goneAt) => goneAt <= at) ?? at

  readonly slotOf = (process: string): string => {
    const pid = Number(process.split('/').at(-1))
    return this.instances.find((instance) => instance.pid === pid)?.slot ?? process
  }

  /** The names that nobody writes again, and those of some slots. */
  namesOf(slots: readonly string[]): readonly string[] {
    const own = slots.flatMap((slot) => Array.from({ length: OWN_NAMES }, (_, n) => `${slot}-${n}`))
    return [...Array.from({ length: SEEDS }, (_, n) => `seed-${n}`), ...own]
  }

  async start(slot: string, template: Template): Promise<Instance> {
    const others = this.namesOf(SLOTS.filter((other) => other !== slot))
    const first = this.ledger.nextOf(slot)
    return await Instance.start(
      { ...this.#settings, slot, first, others },
      this.templates[template],
      compiled,
      (said) => this.ledger.hear(said),
      (instance) => this.instances.push(instance),
    )
  }

  /** Writes a secret that nobody else writes. */
  async put(slot: string, name: string): Promise<void> {
    const value = `${name}#0`
    await this.of(slot).ask('put', { name, value })
    this.ledger.acknowledge(name, value)
  }

  async stop(slot: string): Promise<void> {
    const instance = this.of(slot)
    await instance.ask('quiet', null)
    this.noteGone()
    await instance.stop()
  }

  async restart(slot: string, template: Template): Promise<void> {
    await this.stop(slot)
    await this.start(slot, template)
  }

  async kill(slot: string): Promise<void> {
    this.noteGone()
    await this.of(slot).kill()
  }

  /** Stops a process, as `kill -STOP` does, where a write of it is wrapped and not yet in the store. */
  async freeze(slot: string): Promise<void> {
    await this.of(slot).holdWrite()
    this.noteGone()
    this.of(slot).freeze()
  }

  /** Rotates by one instance until the operation has ended. */
  async rotate(slot: string): Promise<void> {
    const { id } = await this.of(slot).ask('rotate', null)
    await this.rotated(slot, id)
  }

  async rotated(slot: string, id: string): Promise<void> {
    const ended = await until('the rotation ends', TRUTH_MS, async () => {
      const operation = await this.of(slot).ask('rotation', id)
      return operation.status === 'running' ? undefined : operation
    })
    expect(ended).toMatchObject({ status: 'completed', failed: 0 })
  }

  /** Waits until every instance has sent this many more heartbeats: three are a lease. */
  async beats(count: number): Promise<void> {
    const before = await this.journal.beats()
    await until(`${count} heartbeats of every instance`, TRUTH_MS, async () => {
      const after = await this.journal.beats()
      const isDue = [...before].every(([id, n]) => (after.get(id) ?? Number.POSITIVE_INFINITY) >= n + count)
      return isDue || undefined
    })
  }

  /** Waits until every running instance says the truth, and does its work. */
  async check(truth: Truth): Promise<void> {
    const { notReady = {}, ...shared } = truth
    const sorted = { ...shared, fleet: shared.fleet.toSorted() }
    for (const instance of this.running) {
      const expected = { ...sorted, notReady: notReady[instance.slot] ?? '' }
      let told: unknown
      try {
        await until('an instance says the truth', TRUTH_MS, async () => {
          told = await this.#tellingOf(instance)
          return isDeepStrictEqual(told, expected) || undefined
        })
      } catch (error) {
        expect({ slot: instance.slot, told }).toEqual({ slot: instance.slot, told: expected })
        throw error
      }
    }
    await this.work(truth.current)
  }

  /** Waits until every running instance has written and read on; one that lacks the current KEK is refused its writes. */
  async work(current: string): Promise<void> {
    const refused = ({ refusals }: Instance, what: 'put' | 'read') =>
      refusals.filter(({ during }) => during === what).length
    const due = this.running.map((instance) => {
      const isWriter = instance.holds(current, this.templates.new.keks[current])
      const puts = () => (isWriter ? instance.acknowledgedAt.length : refused(instance, 'put'))
      const reads = () => instance.reads + (isWriter ? 0 : refused(instance, 'read'))
      return { instance, puts, reads, leastPuts: puts() + 3, leastReads: reads() + 3 }
    })
    for (const { instance, puts, reads, leastPuts, leastReads } of due) {
      await until(`${instance.slot} writes and reads on`, TRUTH_MS, () => {
        return (puts() >= leastPuts && reads() >= leastReads) || undefined
      })
    }
  }

  async #tellingOf(instance: Instance): Promise<unknown> {
    try {
      const status = await instance.ask('status', null)
      const { reasons } = await instance.ask('retirement', { accept: false })
      return {
        current: status.currentKekId,
        pending: pendingOf(status, this.slotOf),
        fleet: status.fleet.map((each) => describeInstance(each, this.slotOf)).sort(),
        retirement: reasons.map((reason) => describeReason(reason, this.slotOf)),
        notReady: describeReadiness(status),
      }
    } catch (error) {
      // Asked while the keyring document changed again and again; the next look says more.
      if (error instanceof Refused) return { refused: error.message }
      throw error
    }
  }

  /** Notes that a process goes now, for the figures. */
  noteGone(): void {
    this.#goneAt.push(performance.timeOrigin + performance.now())
  }
}

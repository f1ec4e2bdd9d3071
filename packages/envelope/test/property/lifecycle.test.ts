import {
  isEnvelopeError,
  MemoryStore,
  openVault,
  type RotationOperation,
  type SecretVault,
} from '@talos/envelope'
import { heldClock } from '@talos/envelope/testing'
import { expect, test } from 'vitest'
import { BOTH_WISH_V1, BOTH_WISH_V2, mortal, ONLY_V1, seededRandom } from '../support/vaults.ts'

/** What the outside world knows of one secret: numbers that only grow. */
interface Known {
  /** The last number whose put was acknowledged; 0 for none. */
  acknowledged: number
  /** The last number that was put at all. */
  attempted: number
}

interface Process {
  readonly vault: SecretVault
  readonly store: ReturnType<typeof mortal>
  readonly holdsV2: boolean
}

const NAMES = Array.from({ length: 12 }, (_, index) => `s${index}`)
const STEPS = 60
const RUNS = 300

/** Plays one history of puts, kills, restarts, promotions and rotations, and checks what was promised all along. */
async function play(seed: number): Promise<{ kills: number; puts: number; promotions: number }> {
  const random = seededRandom(seed)
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  const clock = heldClock()
  const { monotonicMs } = clock.runtime
  const store = new MemoryStore({ monotonicMs, disorder: { random }, level: 'strong' })
  const known = new Map<string, Known>(NAMES.map((name) => [name, { acknowledged: 0, attempted: 0 }]))
  const busy = new Set<string>()
  const processes: Process[] = []
  const count = { kills: 0, puts: 0, promotions: 0 }
  let started = 0

  const start = async (holdsV2: boolean): Promise<void> => {
    const life = mortal(store)
    const keys = holdsV2 ? pick([BOTH_WISH_V1, BOTH_WISH_V2]) : ONLY_V1
    started += 1
    const vault = await openVault({
      store: life.store,
      keys,
      namespace: 'gateway',
      runtime: { ...clock.runtime, processName: `p${started}` },
      onEvent: (event) => {
        if (event.type === 'promoted') count.promotions += 1
      },
    })
    processes.push({ vault, store: life, holdsV2 })
  }

  const put = async (process: Process, name: string): Promise<void> => {
    const state = known.get(name)
    if (state === undefined || busy.has(name)) return
    busy.add(name)
    const number = ++state.attempted
    await process.vault.put(name, `${number}`)
    // A killed process is never answered, so its name stays busy: nobody else knows what became of that write.
    state.acknowledged = number
    busy.delete(name)
    count.puts += 1
  }

  const check = async (process: Process, name: string): Promise<void> => {
    const state = known.get(name)
    const floor = state?.acknowledged ?? 0
    if (!process.vault.ready) return
    const secret = await process.vault.get(name)
    const value = Number(secret?.text() ?? 0)
    expect(value, `W1: ${name} went back (seed ${seed})`).toBeGreaterThanOrEqual(floor)
    expect(value, `a value nobody put (seed ${seed})`).toBeLessThanOrEqual(state?.attempted ?? 0)
  }

  /** W5: once v2 is current, wrap texts under v1 only go. */
  let underV1: ReadonlySet<string> | null = null
  const expectNoNewcomerUnderV1 = async (): Promise<void> => {
    const document = await store.readDocument('keyring')
    if (!document?.value.includes('"v2"')) return
    const { items } = await store.scan({ cursor: null, limit: 1_000, exceptKekId: 'v2' })
    const now = new Set(items.map(({ wrap }) => wrap))
    const newcomers = [...now].filter((wrap) => underV1 !== null && !underV1.has(wrap))
    expect(newcomers.length, `W5: a record came under v1 after the fence (seed ${seed})`).toBe(0)
    underV1 = now
  }

  await start(false)
  await start(false)
  const broken: unknown[] = []
  // Who was started with v1 as current after v2 had become it is told so.
  const rotationRefused = (error: unknown): void => {
    if (!isEnvelopeError(error) || error.code !== 'ERR_PROMOTION_BLOCKED') broken.push(error)
  }
  for (let step = 0; step < STEPS; step += 1) {
    const process = pick(processes)
    const action = random()
    if (action < 0.45) {
      for (let burst = 0; burst < 4; burst += 1) {
        void put(pick(processes), pick(NAMES)).catch((error: unknown) => broken.push(error))
      }
    } else if (action < 0.65) void check(process, pick(NAMES)).catch((error: unknown) => broken.push(error))
    else if (action < 0.75) await clock.advance(Math.floor(random() * 8_000))
    else if (action < 0.85)
      void process.vault.rotate({ ...pick([{}, { ratePerSecond: 5 }]) }).catch(rotationRefused)
    else if (action < 0.93 && processes.length > 1) {
      processes.splice(processes.indexOf(process), 1)
      if (random() < 0.5) {
        process.store.kill()
        count.kills += 1
      } else await process.vault.close()
      // Once one process holds v2, whoever starts later does: the roll-out goes one way.
      await start(step > STEPS / 2 || processes.some(({ holdsV2 }) => holdsV2))
    } else await clock.settle()
    await expectNoNewcomerUnderV1()
  }
  await clock.settle()
  expect(broken).toEqual([])
  for (const { vault, holdsV2 } of processes) if (!holdsV2) await vault.close()
  const stayed = processes.filter(({ holdsV2 }) => holdsV2)
  const last = await openVault({ store, keys: BOTH_WISH_V2, namespace: 'gateway', runtime: clock.runtime })
  await clock.advance(25_000)
  expect((await last.status()).currentKekId, `promotion after the roll-out (seed ${seed})`).toBe('v2')
  const rotateToEnd = async (): Promise<RotationOperation | null> => {
    const { id } = await last.rotate()
    for (let step = 0; step < 60 && (await last.rotations.get(id))?.status === 'running'; step += 1) {
      await clock.advance(2_000)
    }
    return await last.rotations.get(id)
  }
  // An operation that was begun towards v1 in the old days ends by saying that v1 is no longer current.
  const first = await rotateToEnd()
  const operation = first?.targetKekId === 'v1' ? await rotateToEnd() : first
  expect(operation?.status, `seed ${seed}: ${operation?.lastError?.message}`).toBe('completed')
  const { scanned, ...parts } = operation?.totals ?? { scanned: -1 }
  expect(scanned).toBe(Object.values(parts).reduce((sum, part) => sum + part, 0))
  expect((await last.status()).staleCounts, `W5 (seed ${seed})`).toEqual({ v1: 0 })
  for (const name of NAMES)
    for (const vault of [last, ...stayed.map((each) => each.vault)]) {
      await check({ vault, store: mortal(store), holdsV2: true }, name)
    }
  for (const { vault } of stayed) await vault.close()
  await last.close()
  return count
}

test(`W1, W3, W5, W7, W8 hold in ${RUNS} random histories of puts, kills, restarts, promotions and rotations`, async () => {
  const total = { kills: 0, puts: 0, promotions: 0 }
  for (let seed = 1; seed <= RUNS; seed += 1) {
    const { kills, puts, promotions } = await play(seed)
    total.kills += kills
    total.puts += puts
    total.promotions += promotions
  }
  console.log(
    `lifecycle: ${RUNS} histories, ${total.puts} puts, ${total.kills} kills, ${total.promotions} promotions: 0 broken promises`,
  )
  expect(total.kills).toBeGreaterThan(RUNS / 2)
  expect(total.promotions).toBeGreaterThan(RUNS / 5)
  expect(total.puts).toBeGreaterThan(RUNS * 10)
}, 60_000)

import assert from 'node:assert/strict'
import type { CensusOptions, SecretStore, StoredSecret } from '@talos/envelope'
import {
  create,
  createAll,
  newSecret,
  nextTurn,
  openKeyring,
  remove,
  replace,
  rewrapped,
  total,
  writeOne,
} from './records.ts'
import type { StoreCheck } from './store-check.ts'

/** Checks of CENSUS-1 to CENSUS-3. */
export const CENSUS_CHECKS: readonly StoreCheck[] = [
  {
    clause: 'CENSUS-1',
    title: 'counts by the KEK id inside the wrap text, through every kind of change',
    async run(context) {
      const { store } = await context.open()
      assert.deepEqual(await store.census(), new Map())
      const guard = await openKeyring(store)
      const kekIds = ['v1', 'v10', 'v_1', 'v-1', '0', 'k'.repeat(32)]
      const secrets = kekIds.flatMap((kekId, n) =>
        Array.from({ length: n + 1 }, (_, copy) => newSecret(`${kekId} ${copy}`, kekId)),
      )
      await createAll(store, guard, secrets)
      const expected = new Map(kekIds.map((kekId, n) => [kekId, n + 1]))
      assert.deepEqual(sorted(await store.census()), sorted(expected))
      const [first, second, third] = secrets as [StoredSecret, StoredSecret, StoredSecret]
      await writeOne(store, guard, rewrapped(first, 'v10').change)
      await writeOne(store, guard, replace(second, newSecret(second.name, 'v9')))
      await writeOne(store, guard, remove(third))
      expected.delete('v1')
      expected.set('v10', 1).set('v9', 1)
      assert.deepEqual(sorted(await store.census()), sorted(expected))
    },
  },
  {
    clause: 'CENSUS-2',
    title: 'never misses a record that is re-wrapped while it counts',
    async run(context) {
      const { clients, store } = await context.open()
      const guard = await openKeyring(store)
      const lots = Array.from({ length: 6 }, (_, n) =>
        Array.from({ length: 10 }, (_, copy) => newSecret(`${n} ${copy}`, 'v5')),
      )
      await createAll(store, guard, lots.flat())
      const move = async (lot: StoredSecret[], client: SecretStore): Promise<void> => {
        let there = lot
        for (let round = 0; round < 12; round += 1) {
          const moved = there.map((secret, copy) => rewrapped(secret, `v${(round * 7 + copy) % 10}`))
          const outcomes = await client.write(
            guard,
            moved.map(({ change }) => change),
          )
          assert.ok(outcomes.every((outcome) => outcome === 'done'))
          there = moved.map(({ secret }) => secret)
        }
      }
      await during(Promise.all(lots.map((lot, n) => move(lot, clients[n % clients.length]!))), async () =>
        assert.equal(total(await store.census()), lots.flat().length),
      )
    },
  },
  {
    clause: 'CENSUS-2',
    title: 'counts everything that was acknowledged before it began, through any client',
    async run(context) {
      const { clients, store } = await context.open()
      const guard = await openKeyring(store)
      const records = 90
      let acknowledged = 0
      let sent = 0
      const add = async (n: number): Promise<void> => {
        for (let copy = 0; copy < records / 3; copy += 1) {
          sent += 1
          await writeOne(clients[n]!, guard, create(newSecret(`${n} ${copy}`, `v${n}`)))
          acknowledged += 1
        }
      }
      await during(Promise.all([add(0), add(1), add(2)]), async () => {
        for (const client of clients) {
          const least = acknowledged
          const counted = total(await client.census())
          assert.ok(counted >= least, `${counted} counted, ${least} were acknowledged before`)
          assert.ok(counted <= sent, `${counted} counted, ${sent} were sent`)
        }
      })
      assert.deepEqual(
        sorted(await store.census()),
        sorted(new Map([0, 1, 2].map((n) => [`v${n}`, records / 3]))),
      )
    },
  },
  {
    clause: 'CENSUS-3',
    title: 'stops at a limit and one or not at all, and is exact up to it',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const records = new Map([
        ['v1', 7],
        ['v2', 3],
        ['v3', 1],
      ])
      for (const [kekId, many] of records) {
        const secrets = Array.from({ length: many }, (_, copy) => newSecret(`${kekId} ${copy}`, kekId))
        await createAll(store, guard, secrets)
      }
      const limits: readonly Pick<CensusOptions, 'upTo' | 'upToOf'>[] = [
        { upTo: 0 },
        { upTo: 1 },
        { upTo: 3 },
        { upTo: 100 },
        { upToOf: { v1: 2 } },
        { upTo: 2, upToOf: { v1: 5, v9: 0 } },
        { upTo: 5, upToOf: { v2: 0 } },
      ]
      for (const options of limits) {
        const census = await store.census(options)
        assert.deepEqual([...census.keys()].sort(), [...records.keys()])
        for (const [kekId, many] of records) {
          const limit = options.upToOf?.[kekId] ?? options.upTo ?? many
          const counted = census.get(kekId)
          const what = `${counted} counted of ${many} under ${kekId} with ${JSON.stringify(options)}`
          assert.ok(counted === many || counted === Math.min(many, limit + 1), what)
        }
      }
      assert.deepEqual(sorted(await store.census()), sorted(records))
    },
  },
]

/** Looks again and again until the work has ended, and once more behind it. */
async function during(work: Promise<unknown>, look: () => Promise<void>): Promise<void> {
  let ended = false
  const end = () => {
    ended = true
  }
  work.then(end, end)
  while (!ended) {
    await look()
    await nextTurn()
  }
  await work
  await look()
}

function sorted(census: ReadonlyMap<string, number>): [string, number][] {
  return [...census].sort(([left], [right]) => (left < right ? -1 : 1))
}

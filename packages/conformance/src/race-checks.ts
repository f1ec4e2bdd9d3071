import assert from 'node:assert/strict'
import type { Change, Outcome, SecretStore, StoredSecret } from '@talos/envelope'
import {
  assertAbsent,
  assertWrap,
  create,
  createAll,
  newSecret,
  openKeyring,
  plain,
  readOne,
  remove,
  replace,
  rewrapped,
  writeOne,
} from './records.ts'
import type { StoreCheck } from './store-check.ts'

const RACERS = 32
const ROUNDS = 6
const LONG_RACE_ROUNDS = 200
/** How often a writer that loses tries again before the store is held to let nobody win. */
const MOST_ATTEMPTS = 2_000

/** Checks of CAS-1 to CAS-3 with many writers at once. */
export const RACE_CHECKS: readonly StoreCheck[] = [
  {
    clause: 'CAS-1',
    title: 'loses no update of eight writers that read, add one and write until they have won',
    async run(context) {
      const { clients, store } = await context.open()
      const guard = await openKeyring(store)
      const counting = (count: number): StoredSecret => ({
        ...newSecret('counter'),
        sealed: new Uint8Array(28).fill(count),
      })
      await createAll(store, guard, [counting(0)])
      const wins = 6
      const count = async (client: SecretStore): Promise<void> => {
        for (let won = 0, attempts = 1; won < wins; attempts += 1) {
          assert.ok(attempts < MOST_ATTEMPTS, 'nobody wins')
          const there = await readOne(client, 'counter')
          assert.ok(there)
          const outcome = await writeOne(client, guard, replace(there, counting(there.sealed[0]! + 1)))
          if (outcome === 'done') won += 1
          else assert.equal(outcome, 'changed')
        }
      }
      await Promise.all(Array.from({ length: 8 }, (_, n) => count(clients[n % clients.length]!)))
      const last = await readOne(store, 'counter')
      assert.deepEqual(last?.sealed, new Uint8Array(28).fill(8 * wins))
    },
  },
  {
    clause: 'CAS-1',
    title: 'decides a race of a delete and re-creation against a re-wrap as a whole',
    async run(context) {
      const { clients, store } = await context.open()
      const guard = await openKeyring(store)
      for (let round = 0; round < 20; round += 1) {
        const first = newSecret(`name ${round}`)
        const second = newSecret(`name ${round}`)
        await createAll(store, guard, [first])
        const moved = Array.from({ length: 4 }, () => rewrapped(first, 'v2'))
        const recreate = async (client: SecretStore): Promise<void> => {
          for (
            let there: StoredSecret | null = first;
            there !== null;
            there = await readOne(client, first.name)
          ) {
            if ((await writeOne(client, guard, remove(there))) === 'done') break
          }
          assert.equal(await writeOne(client, guard, create(second)), 'done')
        }
        const [outcomes] = await Promise.all([
          race(clients, guard, (n) => moved[n]!.change, moved.length),
          recreate(clients[1]!),
        ])
        assert.ok(count(outcomes, 'done') <= 1)
        assert.deepEqual(
          outcomes.filter((outcome) => !['done', 'changed', 'missing'].includes(outcome)),
          [],
        )
        await assertWrap(store, second)
      }
    },
  },
  ...(['rewrap', 'replace', 'create', 'mixed'] as const).map(
    (kind): StoreCheck => ({
      clause: 'CAS-2',
      title: `lets exactly one of ${RACERS} concurrent writers win: ${kind}`,
      async run(context) {
        const { clients, store } = await context.open()
        const guard = await openKeyring(store)
        for (let round = 0; round < ROUNDS; round += 1) {
          const there = newSecret(`record ${round}`)
          if (kind !== 'create') await createAll(store, guard, [there])
          const racers = Array.from({ length: RACERS }, (_, n) => racer(kind, there, n))
          const outcomes = await race(clients, guard, (n) => racers[n]!.change, RACERS)
          assert.equal(count(outcomes, 'done'), 1, `winners in round ${round}`)
          const won = racers[outcomes.indexOf('done')]!
          assert.equal(
            count(outcomes, won.secret === null ? 'missing' : 'changed'),
            RACERS - 1,
            outcomes.join(),
          )
          if (won.secret === null) await assertAbsent(store, there.name)
          else await assertWrap(store, won.secret)
        }
      },
    }),
  ),
  {
    clause: 'CAS-2',
    title: `lets exactly one of ${RACERS} concurrent writers win, ${LONG_RACE_ROUNDS} rounds on one record`,
    async run(context) {
      const { clients, store } = await context.open()
      const guard = await openKeyring(store)
      let there = newSecret('contended')
      await createAll(store, guard, [there])
      for (let round = 0; round < LONG_RACE_ROUNDS; round += 1) {
        const kind = round % 2 === 0 ? 'rewrap' : 'replace'
        const racers = Array.from({ length: RACERS }, (_, n) => racer(kind, there, n))
        const outcomes = await race(clients, guard, (n) => racers[n]!.change, RACERS)
        assert.equal(count(outcomes, 'done'), 1, `winners in round ${round}`)
        assert.equal(count(outcomes, 'changed'), RACERS - 1, `losers in round ${round}`)
        there = racers[outcomes.indexOf('done')]!.secret!
        await assertWrap(store, there)
      }
    },
  },
  {
    clause: 'CAS-2',
    title: 'lets exactly one win each record when overlapping batches race',
    async run(context) {
      const { clients, store } = await context.open()
      const guard = await openKeyring(store)
      const there = Array.from({ length: 50 }, (_, n) => newSecret(`record ${n}`))
      await createAll(store, guard, there)
      const batches = Array.from({ length: 8 }, (_, n) => {
        const moved = there.map((secret) => rewrapped(secret, `v${n}`))
        return n % 2 === 0 ? moved : moved.toReversed()
      })
      const answers = await Promise.all(
        batches.map((batch, n) =>
          clients[n % clients.length]!.write(
            guard,
            batch.map(({ change }) => change),
          ),
        ),
      )
      const winners = batches.flatMap((batch, n) =>
        batch.filter((_, index) => answers[n]![index] === 'done').map(({ secret }) => secret),
      )
      assert.deepEqual(winners.map(({ name }) => name).toSorted(), there.map(({ name }) => name).toSorted())
      for (const winner of winners) await assertWrap(store, winner)
    },
  },
  ...(['rewrap', 'replace', 'create'] as const).map(
    (kind): StoreCheck => ({
      clause: 'CAS-3',
      title: `leaves the record of a winner alone, byte for byte, when ${RACERS} writers race: ${kind}`,
      async run(context) {
        const { clients, store } = await context.open()
        const guard = await openKeyring(store)
        for (let round = 0; round < ROUNDS; round += 1) {
          const there = newSecret(`record ${round}`)
          if (kind !== 'create') await createAll(store, guard, [there])
          const racers = Array.from({ length: RACERS }, (_, n) => racer(kind, there, n))
          const outcomes = await race(clients, guard, (n) => racers[n]!.change, RACERS)
          const winners = racers.filter((_, n) => outcomes[n] === 'done').map(({ secret }) => plain(secret))
          const left = await readOne(store, there.name)
          assert.deepEqual(
            left,
            winners.find((winner) => winner?.wrap === left?.wrap),
          )
        }
      },
    }),
  ),
]

/** One racer: its change, and the record it leaves if it wins; `null` for none. */
function racer(
  kind: 'rewrap' | 'replace' | 'create' | 'mixed',
  there: StoredSecret,
  n: number,
): { change: Change; secret: StoredSecret | null } {
  const chosen = kind === 'mixed' ? (['rewrap', 'replace', 'delete'] as const)[n % 3] : kind
  if (chosen === 'rewrap') return rewrapped(there, `v${n}`)
  if (chosen === 'delete') return { change: remove(there), secret: null }
  const secret = newSecret(there.name, `v${n}`)
  return { change: chosen === 'create' ? create(secret) : replace(there, secret), secret }
}

/** Sends changes at the same time through the clients in turn. */
export function race(
  clients: readonly SecretStore[],
  guard: number,
  change: (n: number) => Change,
  racers: number,
): Promise<Outcome[]> {
  return Promise.all(
    Array.from({ length: racers }, (_, n) => writeOne(clients[n % clients.length]!, guard, change(n))),
  )
}

/** Counts the outcomes of one kind. */
export function count(outcomes: readonly Outcome[], wanted: Outcome): number {
  return outcomes.filter((outcome) => outcome === wanted).length
}

import assert from 'node:assert/strict'
import type { Change, Outcome, StoredSecret } from '@talos/envelope'
import { count, race } from './race-checks.ts'
import {
  assertAbsent,
  assertStored,
  create,
  createAll,
  newSecret,
  newWrap,
  openKeyring,
  remove,
  replace,
  rewrapped,
  writeOne,
} from './records.ts'
import type { StoreCheck } from './store-check.ts'

const ROUNDS = 6

export const CAS_CHECKS: readonly StoreCheck[] = [
  {
    clause: 'CAS-3',
    title: 'changes nothing for a loser, byte for byte',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const there = newSecret('a')
      await createAll(store, guard, [there])
      const before = await store.census()
      const stale = newSecret('a', 'v3')
      const losers: readonly Change[] = [
        create(newSecret('a', 'v2')),
        replace(stale, newSecret('a', 'v2')),
        rewrapped(stale, 'v2').change,
        remove(stale),
        // One character off, and the same text in another case: compared as texts, not as meanings.
        { ...replace(there, newSecret('a', 'v2')), expectedWrap: `${there.wrap}A` } as Change,
        { ...replace(there, newSecret('a', 'v2')), expectedWrap: there.wrap.slice(0, -1) } as Change,
        { ...replace(there, newSecret('a', 'v2')), expectedWrap: there.wrap.toUpperCase() } as Change,
      ]
      for (const loser of losers) {
        assert.equal(await writeOne(store, guard, loser), 'changed')
        await assertStored(store, there)
      }
      assert.deepEqual(await store.census(), before)
    },
  },
  {
    clause: 'CAS-3',
    title: 'changes nothing but wrap text and meta in a re-wrap',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const there = newSecret('a', 'v1', 8_192)
      await createAll(store, guard, [there, newSecret('b')])
      const moved = rewrapped(there, 'v2')
      assert.equal(await writeOne(store, guard, moved.change), 'done')
      await assertStored(store, moved.secret)
    },
  },
  {
    clause: 'CAS-4',
    title: 'answers `already` to a repetition and changes nothing',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const first = newSecret('a')
      const second = newSecret('a')
      const moved = rewrapped(second, 'v2')
      const steps = [
        { change: create(first), left: first },
        { change: replace(first, second), left: second },
        { change: moved.change, left: moved.secret },
      ]
      for (const { change, left } of steps) {
        assert.equal(await writeOne(store, guard, change), 'done')
        for (let again = 0; again < 3; again += 1) {
          assert.equal(await writeOne(store, guard, change), 'already')
          await assertStored(store, left)
        }
      }
      // A late repetition of what was overwritten since has lost.
      for (const { change } of steps.slice(0, 2)) {
        assert.equal(await writeOne(store, guard, change), 'changed')
        await assertStored(store, moved.secret)
      }
      assert.equal(await writeOne(store, guard, remove(moved.secret)), 'done')
      assert.equal(await writeOne(store, guard, remove(moved.secret)), 'missing')
    },
  },
  {
    clause: 'CAS-4',
    title: 'answers `already` to all but one of the concurrent repetitions of one call',
    async run(context) {
      const { clients, store } = await context.open()
      const guard = await openKeyring(store)
      for (let round = 0; round < ROUNDS; round += 1) {
        const secret = newSecret(`record ${round}`)
        const moved = rewrapped(secret, 'v2')
        for (const { change, left } of [
          { change: create(secret), left: secret },
          { change: moved.change, left: moved.secret },
        ]) {
          const outcomes = await race(clients, guard, () => change, 16)
          assert.deepEqual([count(outcomes, 'done'), count(outcomes, 'already')], [1, 15])
          await assertStored(store, left)
        }
      }
    },
  },
  {
    clause: 'CAS-4',
    title: 'answers `already` to a change whose next wrap text is the one that is there',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const there = newSecret('a')
      await createAll(store, guard, [there])
      const other = { ...newSecret('a'), wrap: there.wrap }
      const { name, wrap, meta } = other
      for (const change of [
        replace(there, other),
        create(other),
        { kind: 'rewrap', expectedWrap: newWrap('v1'), secret: { name, wrap, meta } },
      ] satisfies Change[]) {
        assert.equal(await writeOne(store, guard, change), 'already')
        await assertStored(store, there)
      }
    },
  },
  {
    clause: 'CAS-5',
    title: 'decides each change of a call by itself and answers in order',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const [a, b, c, d, e] = ['a', 'b', 'c', 'd', 'e'].map((name) => newSecret(name)) as Five
      await createAll(store, guard, [a, b, c, d, e])
      const moved = rewrapped(a, 'v2')
      const fresh = newSecret('f')
      const next = newSecret('d')
      const outcomes = await store.write(guard, [
        replace(newSecret('b'), newSecret('b')),
        moved.change,
        rewrapped(newSecret('none'), 'v2').change,
        create(fresh),
        create(c),
        remove(e),
        replace(d, next),
        remove(newSecret('none either')),
      ])
      assert.deepEqual(outcomes, [
        'changed',
        'done',
        'missing',
        'done',
        'already',
        'done',
        'done',
        'missing',
      ] satisfies Outcome[])
      for (const secret of [moved.secret, b, c, next, fresh]) await assertStored(store, secret)
      for (const name of ['e', 'none', 'none either']) await assertAbsent(store, name)
      assert.deepEqual(await store.write(guard, []), [])
    },
  },
  {
    clause: 'CAS-5',
    title: 'takes 1,000 changes in one call, winners and losers mixed',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const there = Array.from({ length: 1_000 }, (_, n) => newSecret(`record ${n}`))
      await createAll(store, guard, there)
      const moved = there.map((secret, n) => rewrapped(n % 3 === 0 ? newSecret(secret.name) : secret, 'v2'))
      const outcomes = await store.write(
        guard,
        moved.map(({ change }) => change),
      )
      const expected = there.map((_, n) => (n % 3 === 0 ? 'changed' : 'done'))
      assert.deepEqual(outcomes, expected)
      assert.deepEqual(
        await store.census(),
        new Map([
          ['v1', 334],
          ['v2', 666],
        ]),
      )
      for (const n of [0, 1, 255, 256, 257, 511, 512, 998, 999]) {
        await assertStored(store, n % 3 === 0 ? there[n]! : moved[n]!.secret)
      }
    },
  },
  {
    clause: 'CAS-6',
    title: 'creates nothing by replace or rewrap, and deletes no other wrap text',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const gone = newSecret('gone')
      await createAll(store, guard, [gone])
      assert.equal(await writeOne(store, guard, remove(gone)), 'done')
      for (const there of [gone, newSecret('never there')]) {
        assert.equal(await writeOne(store, guard, replace(there, newSecret(there.name))), 'missing')
        assert.equal(await writeOne(store, guard, rewrapped(there, 'v2').change), 'missing')
        assert.equal(await writeOne(store, guard, remove(there)), 'missing')
        await assertAbsent(store, there.name)
      }
      assert.deepEqual(await store.census(), new Map())
      const there = newSecret('there')
      await createAll(store, guard, [there])
      assert.equal(await writeOne(store, guard, remove(newSecret('there'))), 'changed')
      await assertStored(store, there)
    },
  },
  {
    clause: 'CAS-6',
    title: 'does not touch a record that was deleted and made anew since',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const [first, second] = [newSecret('a'), newSecret('a')]
      await createAll(store, guard, [first])
      assert.equal(await writeOne(store, guard, remove(first)), 'done')
      await createAll(store, guard, [second])
      for (const change of [rewrapped(first, 'v2').change, replace(first, newSecret('a')), remove(first)]) {
        assert.equal(await writeOne(store, guard, change), 'changed')
        await assertStored(store, second)
      }
    },
  },
]

type Five = [StoredSecret, StoredSecret, StoredSecret, StoredSecret, StoredSecret]

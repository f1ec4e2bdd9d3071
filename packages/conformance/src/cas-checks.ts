import assert from 'node:assert/strict'
import type { Change, Outcome, StoredSecret } from '@talos/envelope'
import { count, race } from './race-checks.ts'
import {
  assertAbsent,
  assertStored,
  assertWrap,
  create,
  createAll,
  newSecret,
  newWrap,
  openKeyring,
  plain,
  remove,
  replace,
  rewrapped,
  writeOne,
} from './records.ts'
import type { StoreCheck } from './store-check.ts'

const ROUNDS = 6

/** Checks of CAS-3 to CAS-6, one change after the other. */
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
    title: 'changes nothing for a late repetition of what was overwritten since',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const [first, second] = [newSecret('a'), newSecret('a')]
      const moved = rewrapped(second, 'v2')
      const changes = [create(first), replace(first, second), moved.change]
      for (const change of changes) assert.equal(await writeOne(store, guard, change), 'done')
      for (const change of changes.slice(0, 2)) {
        assert.equal(await writeOne(store, guard, change), 'changed')
        await assertStored(store, moved.secret)
      }
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
    title: 'answers `already` to each change of a call that is repeated as a whole',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const [a, b, next, c] = [newSecret('a'), newSecret('b'), newSecret('b'), newSecret('c')]
      await createAll(store, guard, [a, b])
      const moved = rewrapped(a, 'v2')
      const changes = [moved.change, replace(b, next), create(c)]
      assert.deepEqual(await store.write(guard, changes), ['done', 'done', 'done'])
      assert.deepEqual(await store.write(guard, changes), ['already', 'already', 'already'])
      for (const secret of [moved.secret, next, c]) await assertStored(store, secret)
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
    title: 'decides each change of a call as if it had been sent alone, and answers in order',
    async run(context) {
      const [{ store: together }, { store: alone }] = [await context.open(), await context.open()]
      const [a, b, c, d, e] = ['a', 'b', 'c', 'd', 'e'].map((name) => newSecret(name)) as Five
      for (const store of [together, alone]) await createAll(store, await openKeyring(store), [a, b, c, d, e])
      const changes: readonly Change[] = [
        replace(newSecret('b'), newSecret('b')),
        rewrapped(a, 'v2').change,
        rewrapped(newSecret('none'), 'v2').change,
        create(newSecret('f')),
        create(c),
        remove(e),
        replace(d, newSecret('d')),
        remove(newSecret('none either')),
      ]
      const expected: Outcome[] = []
      for (const change of changes) expected.push(await writeOne(alone, 1, change))
      assert.ok(new Set(expected).size > 1, 'a call of which all changes end alike shows nothing')
      assert.deepEqual(await together.write(1, changes), expected)
      const names = ['a', 'b', 'c', 'd', 'e', 'f', 'none', 'none either']
      assert.deepEqual((await together.read(names)).map(plain), (await alone.read(names)).map(plain))
      assert.deepEqual(await together.write(1, []), [])
    },
  },
  {
    clause: 'CAS-5',
    title: 'takes 1,000 changes in one call, in any mixture',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const there = Array.from({ length: 500 }, (_, n) => newSecret(`record ${n}`))
      await createAll(store, guard, there)
      const mixture = there.flatMap((secret, n) => {
        const moved = rewrapped(secret, 'v2')
        const fresh = newSecret(`fresh ${n}`)
        const other: Change = n % 2 === 0 ? create(fresh) : remove(newSecret(`none ${n}`))
        return [
          { change: moved.change, outcome: 'done', name: secret.name, left: moved.secret },
          n % 2 === 0
            ? { change: other, outcome: 'done', name: fresh.name, left: fresh }
            : { change: other, outcome: 'missing', name: `none ${n}`, left: null },
        ]
      })
      const outcomes = await store.write(
        guard,
        mixture.map(({ change }) => change),
      )
      assert.deepEqual(
        outcomes,
        mixture.map(({ outcome }) => outcome),
      )
      for (let from = 0; from < mixture.length; from += 100) {
        const part = mixture.slice(from, from + 100)
        const answers = await store.read(part.map(({ name }) => name))
        assert.deepEqual(
          answers.map(plain),
          part.map(({ left }) => plain(left)),
        )
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
        await assertWrap(store, second)
      }
    },
  },
]

type Five = [StoredSecret, StoredSecret, StoredSecret, StoredSecret, StoredSecret]

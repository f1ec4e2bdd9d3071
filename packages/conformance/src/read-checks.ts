import assert from 'node:assert/strict'
import {
  assertStored,
  create,
  createAll,
  DIFFICULT_NAMES,
  newSecret,
  openKeyring,
  plain,
  readOne,
  replace,
  writeOne,
} from './records.ts'
import type { StoreCheck } from './store-check.ts'

/** Checks of READ-1. */
export const READ_CHECKS: readonly StoreCheck[] = [
  {
    clause: 'READ-1',
    title: 'answers in the order asked, with null for what is not there',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const [a, b, c] = [newSecret('a'), newSecret('b'), newSecret('c')]
      await createAll(store, guard, [a, b, c])
      const answers = await store.read(['c', 'none', 'a', 'none either', 'b'])
      assert.deepEqual(answers.map(plain), [plain(c), null, plain(a), null, plain(b)])
      assert.deepEqual(await store.read([]), [])
    },
  },
  {
    clause: 'READ-1',
    title: 'answers 100 names in one call',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const secrets = Array.from({ length: 100 }, (_, index) => newSecret(`name ${index}`))
      await createAll(store, guard, secrets)
      const shuffled = secrets.toSorted((left, right) => (left.wrap < right.wrap ? 1 : -1))
      const answers = await store.read(shuffled.map(({ name }) => name))
      assert.deepEqual(answers.map(plain), shuffled.map(plain))
    },
  },
  {
    clause: 'READ-1',
    title: 'keeps names apart byte for byte, whatever they consist of',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const secrets = DIFFICULT_NAMES.map((name) => newSecret(name))
      for (const secret of secrets) assert.equal(await writeOne(store, guard, create(secret)), 'done')
      for (const secret of secrets) await assertStored(store, secret)
    },
  },
  {
    clause: 'READ-1',
    title: 'keeps records at the bounds of every field byte for byte',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const { maxSealedBytes } = await store.identify()
      const shortest = newSecret('shortest', 'v', 28)
      const longest = {
        ...newSecret('longest', 'v', maxSealedBytes),
        wrap: `talos:v2:${'k'.repeat(32)}:`.padEnd(1_464, 'w'),
        meta: JSON.stringify('€'.repeat(5_460)).padEnd(16_384 - 2 * 5_460),
      }
      assert.equal(Buffer.byteLength(longest.meta), 16_384)
      await createAll(store, guard, [shortest, longest])
      await assertStored(store, shortest)
      await assertStored(store, longest)
      const shrunk = newSecret('longest', 'v', 28)
      assert.equal(await writeOne(store, guard, replace(longest, shrunk)), 'done')
      await assertStored(store, shrunk)
    },
  },
  {
    clause: 'READ-1',
    title: 'shows every client at once what any client was told is done',
    async run(context) {
      const { clients, store } = await context.open()
      const guard = await openKeyring(store)
      let there = newSecret('shared')
      await createAll(store, guard, [there])
      for (let round = 0; round < 12; round += 1) {
        const next = newSecret('shared')
        assert.equal(await writeOne(clients[round % clients.length]!, guard, replace(there, next)), 'done')
        for (const client of clients) await assertStored(client, next)
        there = next
      }
    },
  },
  {
    clause: 'READ-1',
    title: 'hands out bytes that are the reader’s own, and keeps bytes that are its own',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const secret = newSecret('a')
      const given = { ...secret, sealed: new Uint8Array(secret.sealed) }
      assert.equal(await writeOne(store, guard, create(given)), 'done')
      given.sealed.fill(0)
      const read = await store.read(['a'])
      await assertStored(store, secret)
      read[0]?.sealed.fill(0)
      assert.deepEqual(await readOne(store, 'a'), plain(secret))
    },
  },
]

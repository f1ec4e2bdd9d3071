import assert from 'node:assert/strict'
import { KEYRING_DOCUMENT } from '@talos/envelope'
import { openKeyring } from './records.ts'
import type { StoreCheck } from './store-check.ts'

const RACERS = 32
const AGES_WITHIN_MS = 5_000

/** Checks of DOC-1 to DOC-3. */
export const DOCUMENT_CHECKS: readonly StoreCheck[] = [
  {
    clause: 'DOC-1',
    title: 'writes at the expected revision only and counts up from 1',
    async run(context) {
      const { store } = await context.open()
      assert.equal(await store.readDocument('a'), null)
      assert.equal(await store.writeDocument('a', 1, 'x'), null)
      assert.equal(await store.readDocument('a'), null)
      assert.equal(await store.writeDocument('a', 0, 'one'), 1)
      assert.equal(await store.writeDocument('a', 1, 'two'), 2)
      assert.equal(await store.writeDocument('a', 2, 'two'), 3, 'an equal value is a new revision')
      for (const wrong of [0, 1, 4, 99]) assert.equal(await store.writeDocument('a', wrong, 'lost'), null)
      assert.equal(await store.writeDocument('a', 1, 'other'), null, 'not the value that is there')
      assert.equal(await store.writeDocument('a', 0, 'one'), null, 'overwritten since')
      const { key, value, revision } = (await store.readDocument('a'))!
      assert.deepEqual({ key, value, revision }, { key: 'a', value: 'two', revision: 3 })
    },
  },
  {
    clause: 'DOC-1',
    title: `lets exactly one of ${RACERS} concurrent writers of different values win`,
    async run(context) {
      const { clients, store } = await context.open()
      for (let revision = 0; revision < 8; revision += 1) {
        const answers = await Promise.all(
          Array.from({ length: RACERS }, (_, n) =>
            clients[n % clients.length]!.writeDocument('a', revision, `${revision} by ${n}`),
          ),
        )
        const won = answers.flatMap((answer, n) => (answer === null ? [] : [n]))
        assert.equal(won.length, 1, `winners at revision ${revision}`)
        assert.equal(answers[won[0]!], revision + 1)
        const { value, revision: stored } = (await store.readDocument('a'))!
        assert.deepEqual({ value, stored }, { value: `${revision} by ${won[0]}`, stored: revision + 1 })
      }
    },
  },
  {
    clause: 'DOC-1',
    title: 'keeps values byte for byte and documents apart from secrets and from each other',
    async run(context) {
      const { store } = await context.open()
      const values = [
        '',
        ' ',
        'null',
        '0',
        '{"a":1}',
        '\'";--\\%_\n\r\t',
        'e\u0301 é 🔑 \uffff \u{10ffff}',
        'x'.repeat(65_536),
        '€'.repeat(21_845),
      ]
      const keys = ['a', 'A', 'a%', 'a_', "a'", '"', '{}', '__proto__', 'x'.repeat(200)]
      for (const [n, key] of keys.entries()) assert.equal(await store.writeDocument(key, 0, values[n]!), 1)
      for (const [n, key] of keys.entries()) {
        assert.equal((await store.readDocument(key))?.value, values[n], `value ${n}`)
      }
      assert.deepEqual(await store.read(['a', 'A']), [null, null])
      assert.deepEqual(await store.census(), new Map())
    },
  },
  {
    clause: 'DOC-1',
    title: 'tells the age of a document by the store’s own clock, or that it has none',
    async run(context) {
      const { store, advance } = await context.open()
      await openKeyring(store)
      const age = async () => (await store.readDocument('keyring'))!.ageMs
      const first = await age()
      if (first === null) return
      assert.ok(first >= 0 && first < 60_000, `a new document is ${first} ms old`)
      const listed = await store.listDocuments({ prefix: 'keyring', cursor: null, limit: 1 })
      assert.equal(typeof listed.items[0]?.ageMs, 'number')
      if (advance === undefined) {
        const until = performance.now() + AGES_WITHIN_MS
        while ((await age())! <= first) assert.ok(performance.now() < until, 'the clock stands still')
        return
      }
      advance(5_000)
      const later = (await age())!
      assert.ok(later >= 5_000 && later < 60_000, `${later} ms after 5 s`)
      assert.equal(await store.writeDocument('keyring', 1, '{}'), 2)
      assert.ok((await age())! < 5_000, 'a write makes a document young')
      advance(-50_000)
      assert.ok((await age())! >= 0, 'an age is never negative')
    },
  },
  {
    clause: 'DOC-2',
    title: 'deletes by null at the expected revision and starts again at 1',
    async run(context) {
      const { store } = await context.open()
      assert.equal(await store.writeDocument('a', 0, 'one'), 1)
      assert.equal(await store.writeDocument('a', 1, 'two'), 2)
      for (const wrong of [0, 1, 3]) assert.equal(await store.writeDocument('a', wrong, null), null)
      assert.equal((await store.readDocument('a'))?.value, 'two')
      assert.equal(await store.writeDocument('a', 2, null), 0)
      assert.equal(await store.readDocument('a'), null)
      assert.deepEqual(await store.listDocuments({ prefix: '', cursor: null, limit: 10 }), {
        items: [],
        next: null,
      })
      assert.equal(await store.writeDocument('a', 0, 'again'), 1)
    },
  },
  {
    clause: 'DOC-2',
    title: 'never deletes the document `keyring`, so that no revision of it comes back',
    async run(context) {
      const { store } = await context.open()
      for (const expected of [0, 1, 2]) {
        await assert.rejects(store.writeDocument(KEYRING_DOCUMENT, expected, null), TypeError)
      }
      const guard = await openKeyring(store)
      await assert.rejects(store.writeDocument(KEYRING_DOCUMENT, guard, null), TypeError)
      assert.equal((await store.readDocument(KEYRING_DOCUMENT))?.revision, guard)
    },
  },
  {
    clause: 'DOC-3',
    title: 'answers a repetition with the same revision and writes nothing',
    async run(context) {
      const { store, clients } = await context.open()
      assert.equal(await store.writeDocument('a', 0, 'one'), 1)
      assert.equal(await store.writeDocument('a', 0, 'one'), 1)
      assert.equal(await store.writeDocument('a', 1, 'two'), 2)
      for (const client of clients) assert.equal(await client.writeDocument('a', 1, 'two'), 2)
      assert.equal((await store.readDocument('a'))?.revision, 2)
      const same = await Promise.all(
        Array.from({ length: 16 }, (_, n) => clients[n % clients.length]!.writeDocument('a', 2, 'three')),
      )
      assert.deepEqual(new Set(same), new Set([3]))
      const deleted = await store.writeDocument('a', 3, null)
      assert.equal(await store.writeDocument('a', 3, null), deleted)
    },
  },
]

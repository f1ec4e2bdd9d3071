import assert from 'node:assert/strict'
import { KEYRING_DOCUMENT, type SecretStore, type StoredSecret } from '@talos/envelope'
import {
  assertAbsent,
  assertStored,
  create,
  createAll,
  newSecret,
  nextTurn,
  openKeyring,
  remove,
  replace,
  rewrapped,
  writeOne,
} from './records.ts'
import type { StoreCheck } from './store-check.ts'

const ROUNDS = 8
const SHOWN_WITHIN_MS = 30_000

/** Checks of GUARD-1 to GUARD-4 with writers in flight. */
export const GUARD_CHECKS: readonly StoreCheck[] = [
  {
    clause: 'GUARD-1',
    title: 'fences every change but a delete at any revision but the keyring document’s',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const there = newSecret('there')
      await createAll(store, guard, [there])
      assert.equal(await store.writeDocument(KEYRING_DOCUMENT, 1, '{"epoch":2}'), 2)
      for (const wrong of [0, 1, 3, 2 ** 40]) {
        const outcomes = await store.write(wrong, [
          create(newSecret('new')),
          replace(there, newSecret('there')),
        ])
        assert.deepEqual(outcomes, ['fenced', 'fenced'], `guard ${wrong}`)
        assert.equal(await writeOne(store, wrong, rewrapped(there, 'v2').change), 'fenced')
        // What could not be written anyway is fenced as well: the caller has to look at the keyring first.
        assert.equal(await writeOne(store, wrong, rewrapped(newSecret('none'), 'v2').change), 'fenced')
        await assertStored(store, there)
        await assertAbsent(store, 'new')
      }
      assert.equal(await writeOne(store, 2, replace(there, newSecret('there'))), 'done')
    },
  },
  {
    clause: 'GUARD-1',
    title: 'deletes at any guard, also beside changes that are fenced',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const [a, b, c] = [newSecret('a'), newSecret('b'), newSecret('c')]
      await createAll(store, guard, [a, b, c])
      assert.equal(await store.writeDocument(KEYRING_DOCUMENT, guard, '{"epoch":2}'), 2)
      assert.deepEqual(
        await store.write(guard, [rewrapped(a, 'v2').change, remove(b), create(newSecret('d'))]),
        ['fenced', 'done', 'fenced'],
      )
      assert.equal(await writeOne(store, 99, remove(c)), 'done')
      await assertStored(store, a)
      for (const name of ['b', 'c', 'd']) await assertAbsent(store, name)
    },
  },
  {
    clause: 'GUARD-1',
    title: 'does not deny what took effect before the fence',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const there = newSecret('a')
      const moved = rewrapped(there, 'v2')
      await createAll(store, guard, [there])
      assert.equal(await writeOne(store, guard, moved.change), 'done')
      assert.equal(await store.writeDocument(KEYRING_DOCUMENT, guard, '{"epoch":2}'), 2)
      assert.equal(await writeOne(store, guard, moved.change), 'already')
      await assertStored(store, moved.secret)
    },
  },
  {
    clause: 'GUARD-1',
    title: 'asks for the document `keyring` and no other',
    async run(context) {
      const { store } = await context.open()
      for (const key of ['Keyring', 'keyring2', 'a']) assert.equal(await store.writeDocument(key, 0, '{}'), 1)
      assert.equal(await writeOne(store, 1, create(newSecret('a'))), 'fenced')
      await openKeyring(store)
      assert.equal(await store.writeDocument('keyring2', 1, '{}'), 2)
      assert.equal(await writeOne(store, 1, create(newSecret('a'))), 'done')
    },
  },
  {
    clause: 'GUARD-2',
    title: 'writes nothing without a keyring document',
    async run(context) {
      const { store } = await context.open()
      const there = newSecret('a')
      for (const guard of [0, 1]) {
        assert.equal(await writeOne(store, guard, create(there)), 'fenced')
        assert.equal(await writeOne(store, guard, replace(there, newSecret('a'))), 'fenced')
        assert.equal(await writeOne(store, guard, rewrapped(there, 'v2').change), 'fenced')
        assert.equal(await writeOne(store, guard, remove(there)), 'missing')
      }
      await assertAbsent(store, 'a')
      await createAll(store, await openKeyring(store), [there])
    },
  },
  ...(['writeDocument has returned', 'readDocument has shown the new revision'] as const).map(
    (settled, index): StoreCheck => ({
      clause: index === 0 ? 'GUARD-3' : 'GUARD-4',
      title: `lets no write with an older guard take effect once ${settled}`,
      async run(context) {
        const { clients, store } = await context.open()
        let guard = await openKeyring(store)
        let done = 0
        let fenced = 0
        for (let round = 0; round < ROUNDS; round += 1) {
          const fresh = Array.from({ length: 24 }, (_, n) => newSecret(`fresh ${round} ${n}`))
          const there = Array.from({ length: 24 }, (_, n) => newSecret(`there ${round} ${n}`))
          await createAll(store, guard, there)
          const moved = there.map((secret) => rewrapped(secret, 'v2'))
          const changes = fresh.flatMap((secret, n) => [create(secret), moved[n]!.change])
          const targets = fresh.flatMap((secret, n) => [secret, moved[n]!.secret])
          const send = (from: number, to: number) =>
            changes.slice(from, to).map((change, n) => writeOne(clients[n % clients.length]!, guard, change))
          const early = send(0, 24)
          await nextTurn()
          const writes = [...early, ...send(24, 36)]
          const fence = clients[1]!.writeDocument(KEYRING_DOCUMENT, guard, `{"round":${round}}`)
          writes.push(...send(36, 48))
          if (index === 0) assert.equal(await fence, guard + 1)
          else await revisionShown(clients[2]!, guard)
          const settledNow = await written(store, targets)
          const outcomes = await Promise.all(writes)
          assert.equal(await fence, guard + 1)
          assert.deepEqual(await written(store, targets), settledNow, 'a write took effect behind the fence')
          assert.deepEqual(
            outcomes.map((outcome) => outcome === 'done'),
            settledNow,
          )
          done += outcomes.filter((outcome) => outcome === 'done').length
          fenced += outcomes.filter((outcome) => outcome === 'fenced').length
          guard += 1
        }
        assert.equal(done + fenced, ROUNDS * 48, 'every write was done or fenced')
      },
    }),
  ),
  {
    clause: 'GUARD-4',
    title: 'shows every client the revision that a fence returned',
    async run(context) {
      const { clients, store } = await context.open()
      let guard = await openKeyring(store)
      for (let round = 0; round < 9; round += 1) {
        const revision = await clients[round % clients.length]!.writeDocument(
          KEYRING_DOCUMENT,
          guard,
          `{"round":${round}}`,
        )
        assert.equal(revision, guard + 1)
        guard += 1
        for (const client of clients) {
          assert.equal((await client.readDocument(KEYRING_DOCUMENT))?.revision, guard)
          assert.equal(await writeOne(client, guard - 1, create(newSecret(`stale ${round}`))), 'fenced')
        }
      }
    },
  },
]

async function revisionShown(store: SecretStore, former: number): Promise<void> {
  const until = performance.now() + SHOWN_WITHIN_MS
  let revision: number | undefined = former
  while (revision === former && performance.now() < until) {
    await nextTurn()
    revision = (await store.readDocument(KEYRING_DOCUMENT))?.revision
  }
  assert.equal(revision, former + 1)
}

/** Which of the records are there exactly as given. */
async function written(store: SecretStore, secrets: readonly StoredSecret[]): Promise<boolean[]> {
  const there = await store.read(secrets.map(({ name }) => name))
  return secrets.map(({ wrap }, index) => there[index]?.wrap === wrap)
}

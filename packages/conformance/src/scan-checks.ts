import assert from 'node:assert/strict'
import type { SecretHeader, SecretStore, StoredSecret } from '@talos/envelope'
import {
  create,
  createAll,
  DIFFICULT_NAMES,
  newSecret,
  openKeyring,
  readPages,
  remove,
  rewrapped,
  writeOne,
} from './records.ts'
import type { StoreCheck } from './store-check.ts'

/** Checks of SCAN-1 to SCAN-3. */
export const SCAN_CHECKS: readonly StoreCheck[] = [
  ...[1, 2, 7, 1_000].map(
    (limit): StoreCheck => ({
      clause: 'SCAN-1',
      title: `sees every record by pages of ${limit}`,
      async run(context) {
        const { store } = await context.open()
        const guard = await openKeyring(store)
        assert.deepEqual(await store.scan({ cursor: null, limit }), { items: [], next: null })
        const secrets = DIFFICULT_NAMES.map((name, index) => newSecret(name, `v${index % 3}`))
        await createAll(store, guard, secrets)
        const seen = await scanAll(store, limit)
        assert.deepEqual(byName(seen), byName(secrets.map(headerOf)))
        const some = await scanAll(store, limit, 'v1')
        const expected = secrets.filter((_, index) => index % 3 !== 1)
        assert.deepEqual(byName(some), byName(expected.map(headerOf)))
      },
    }),
  ),
  {
    clause: 'SCAN-1',
    title: 'answers at most as many as asked for',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      await createAll(
        store,
        guard,
        Array.from({ length: 20 }, (_, index) => newSecret(`n${index}`)),
      )
      await readPages(async (cursor) => {
        const page = await store.scan({ cursor, limit: 6 })
        assert.ok(page.items.length <= 6, `${page.items.length} items for a limit of 6`)
        return page
      })
    },
  },
  ...[undefined, 'target'].map(
    (exceptKekId): StoreCheck => ({
      clause: 'SCAN-1',
      title: `sees ${exceptKekId ? 'every stale record' : 'every record'} that is there from start to end while others come and go and KEKs change`,
      async run(context) {
        const { clients, store } = await context.open()
        const guard = await openKeyring(store)
        const kekIds = ['v1', 'v2', 'v3']
        let lasting = Array.from({ length: 40 }, (_, n) => newSecret(`record ${n % 10}${n}`, kekIds[n % 3]))
        let passing = Array.from({ length: 40 }, (_, n) => newSecret(`record ${n % 10}${n}-x`, kekIds[n % 3]))
        await createAll(store, guard, [...lasting, ...passing])
        const seen = await readPages(
          (cursor) => store.scan({ cursor, limit: 4, ...(exceptKekId === undefined ? {} : { exceptKekId }) }),
          async (page) => {
            if (page > 60) return
            const client = clients[page % clients.length]!
            // Any of them may be behind the cursor or before it; a re-wrap must not carry one past it.
            const moved = lasting.map((secret, n) => rewrapped(secret, kekIds[(page + n) % 3]!))
            const gone = passing.slice(0, 6)
            const come = Array.from({ length: 3 }, (_, n) =>
              newSecret(`record ${(page + n) % 10}-${page}`, 'v2'),
            )
            const changes = [...moved.map(({ change }) => change), ...gone.map(remove), ...come.map(create)]
            const outcomes = await client.write(guard, changes)
            assert.ok(
              outcomes.every((outcome) => outcome === 'done'),
              'the changes between the pages',
            )
            lasting = moved.map(({ secret }) => secret)
            passing = [...passing.slice(6), ...come]
          },
        )
        const names = new Set(seen.map(({ name }) => name))
        const missed = lasting.filter(({ name }) => !names.has(name))
        assert.deepEqual(
          missed.map(({ name }) => name),
          [],
          'records that were there all the time were not seen',
        )
      },
    }),
  ),
  {
    clause: 'SCAN-1',
    title: 'goes on behind a record that was deleted after its page was read',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const secrets = new Map(
        Array.from({ length: 12 }, (_, n) => newSecret(`n${n}`)).map((secret) => [secret.name, secret]),
      )
      await createAll(store, guard, [...secrets.values()])
      const seen: string[] = []
      await readPages(async (cursor) => {
        const page = await store.scan({ cursor, limit: 2 })
        for (const { name } of page.items) {
          seen.push(name)
          assert.equal(await writeOne(store, guard, remove(secrets.get(name)!)), 'done')
        }
        return page
      })
      assert.deepEqual(seen.toSorted(), [...secrets.keys()].toSorted())
      assert.deepEqual(await store.scan({ cursor: null, limit: 10 }), { items: [], next: null })
    },
  },
  {
    clause: 'SCAN-1',
    title: 'lists documents by a prefix that is taken literally, by pages, while others come and go',
    async run(context) {
      const { store } = await context.open()
      const prefixes = ['op_1%/', 'op_1', 'opx1a/', 'op_1%', 'OP_1%/', '%', '_', 'op_10/', '~']
      const keys = prefixes.flatMap((prefix) => [1, 2, 3, 4, 5].map((n) => `${prefix}${n}`))
      for (const key of keys) assert.equal(await store.writeDocument(key, 0, `value of ${key}`), 1)
      for (const prefix of ['', ...prefixes, 'op_1%/1', 'none']) {
        const listed = await readPages((cursor) => store.listDocuments({ prefix, cursor, limit: 2 }))
        const expected = keys.filter((key) => key.startsWith(prefix))
        assert.deepEqual(listed.map(({ key }) => key).toSorted(), expected.toSorted(), `prefix ${prefix}`)
        for (const { key, value, revision } of listed) {
          assert.deepEqual({ value, revision }, { value: `value of ${key}`, revision: 1 })
        }
      }
      const lasting = keys.filter((key) => key.startsWith('op_1%/') && !key.endsWith('3'))
      const during = await readPages(
        (cursor) => store.listDocuments({ prefix: 'op_1%/', cursor, limit: 1 }),
        async (page) => {
          if (page === 1) await store.writeDocument('op_1%/3', 1, null)
          if (page <= 4) await store.writeDocument(`op_1%/${page}-new`, 0, '')
        },
      )
      const seen = new Set(during.map(({ key }) => key))
      assert.deepEqual(
        lasting.filter((key) => !seen.has(key)),
        [],
      )
    },
  },
  {
    clause: 'SCAN-2',
    title: 'leaves out exactly one KEK, and none whose id is only alike',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const kekIds = ['v1', 'v10', 'v', 'v_1', 'vx1', 'v-1', '1v1', 'k'.repeat(32)]
      const secrets = kekIds.flatMap((kekId) => [1, 2, 3].map((n) => newSecret(`${n} ${kekId}`, kekId)))
      await createAll(store, guard, secrets)
      for (const exceptKekId of [...kekIds, 'none', 'v1:']) {
        const seen = await scanAll(store, 2, exceptKekId)
        const expected = secrets.filter(({ wrap }) => !wrap.startsWith(`talos:v2:${exceptKekId}:`))
        assert.deepEqual(byName(seen), byName(expected.map(headerOf)), `except ${exceptKekId}`)
      }
    },
  },
  {
    clause: 'SCAN-2',
    title: 'leaves out one of very many KEKs',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const secrets = Array.from({ length: 240 }, (_, n) => newSecret(`n${n}`, `kek${n % 120}`))
      await createAll(store, guard, secrets)
      const seen = await scanAll(store, 10, 'kek7')
      const expected = secrets.filter(({ wrap }) => !wrap.startsWith('talos:v2:kek7:'))
      assert.deepEqual(byName(seen), byName(expected.map(headerOf)))
    },
  },
  {
    clause: 'SCAN-3',
    title: 'answers name, wrap text and meta, and nothing else',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      await createAll(store, guard, [newSecret('a', 'v1', 100_000), newSecret('b', 'v2', 100_000)])
      for (const header of [...(await scanAll(store, 1)), ...(await scanAll(store, 1, 'v1'))]) {
        assert.deepEqual(Object.keys(header).toSorted(), ['meta', 'name', 'wrap'])
      }
    },
  },
  {
    clause: 'SCAN-3',
    title: 'scans, counts and re-wraps without touching sealed bytes',
    needs: 'destroySealed',
    async run(context) {
      const { store, destroySealed } = await context.open()
      const guard = await openKeyring(store)
      const secret = newSecret('a')
      await createAll(store, guard, [secret])
      await destroySealed!()
      assert.equal((await scanAll(store, 10)).length, 1)
      assert.equal((await scanAll(store, 10, 'v2')).length, 1)
      assert.equal(await writeOne(store, guard, rewrapped(secret, 'v2').change), 'done')
      assert.deepEqual(await store.census(), new Map([['v2', 1]]))
    },
  },
]

function scanAll(store: SecretStore, limit: number, exceptKekId?: string): Promise<SecretHeader[]> {
  return readPages((cursor) =>
    store.scan({ cursor, limit, ...(exceptKekId === undefined ? {} : { exceptKekId }) }),
  )
}

function headerOf({ name, wrap, meta }: StoredSecret): SecretHeader {
  return { name, wrap, meta }
}

/** In one order, whatever the store's is; a record may be seen more than once. */
function byName(headers: readonly SecretHeader[]): SecretHeader[] {
  const once = new Map(headers.map(({ name, wrap, meta }) => [name, { name, wrap, meta }]))
  return [...once.values()].sort((left, right) => (left.wrap < right.wrap ? -1 : 1))
}

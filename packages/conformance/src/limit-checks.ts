import assert from 'node:assert/strict'
import { type Change, KEYRING_DOCUMENT, type SecretStore, STORE_LIMITS } from '@talos/envelope'
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

const { names, changes, nameBytes, wrapCharacters, metaBytes, documentBytes, documentKeyCharacters } =
  STORE_LIMITS
const LONE_SURROGATE = 'a\ud83d'

/** Checks of LIMIT-1. */
export const LIMIT_CHECKS: readonly StoreCheck[] = [
  {
    clause: 'LIMIT-1',
    title: 'takes sealed bytes of exactly `maxSealedBytes` and refuses one more, also in a replace',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const { maxSealedBytes } = await store.identify()
      const longest = newSecret('longest', 'v1', maxSealedBytes)
      await createAll(store, guard, [longest])
      await assertStored(store, longest)
      for (const length of [maxSealedBytes + 1, STORE_LIMITS.minSealedBytes - 1, 0]) {
        await refused(store, guard, create(newSecret('other', 'v1', length)))
        await refused(store, guard, replace(longest, newSecret('longest', 'v1', length)))
      }
      await assertAbsent(store, 'other')
      await assertStored(store, longest)
    },
  },
  {
    clause: 'LIMIT-1',
    title: 'refuses a call as a whole for one change outside of the bounds',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const there = newSecret('there')
      await createAll(store, guard, [there])
      const longWrap = `${newWrap('v1')}${'w'.repeat(wrapCharacters)}`
      const moved = rewrapped(there, 'v2')
      const wrong: readonly Change[] = [
        ...['', 'x'.repeat(nameBytes + 1), '€'.repeat(171), 'a\0b', LONE_SURROGATE].map((name) =>
          create(newSecret(name)),
        ),
        ...['', longWrap, 'talos:v2:v1:ä', 'talos:v2:v1: a', 'talos:v2:v1:a\n'].map((wrap) =>
          create({ ...newSecret('b'), wrap }),
        ),
        create({ ...newSecret('b'), meta: 'm'.repeat(metaBytes + 1) }),
        create({ ...newSecret('b'), meta: '€'.repeat(5_462) }),
        { ...replace(there, newSecret('there')), expectedWrap: longWrap } as Change,
        { ...moved.change, expectedWrap: '' } as Change,
        { ...remove(there), expectedWrap: longWrap } as Change,
        create(newSecret('good')),
      ]
      for (const change of wrong) await refused(store, guard, create(newSecret('good')), change)
      const many = Array.from({ length: changes + 1 }, (_, n) => create(newSecret(`record ${n}`)))
      await refused(store, guard, ...many)
      for (const name of ['good', 'b', 'record 0']) await assertAbsent(store, name)
      await assertStored(store, there)
      assert.equal(await writeOne(store, guard, create(newSecret('good'))), 'done')
    },
  },
  {
    clause: 'LIMIT-1',
    title: 'refuses names, pages and documents outside of the bounds',
    async run(context) {
      const { store } = await context.open()
      const tooMany = Array.from({ length: names + 1 }, (_, n) => `name ${n}`)
      for (const wrong of [tooMany, [''], ['a', 'x'.repeat(nameBytes + 1)], ['a\0b'], [LONE_SURROGATE]]) {
        await assert.rejects(store.read(wrong), TypeError)
      }
      for (const limit of [0, -1, 1.5, Number.NaN]) {
        await assert.rejects(store.scan({ cursor: null, limit }), TypeError)
        await assert.rejects(store.listDocuments({ prefix: '', cursor: null, limit }), TypeError)
      }
      const longKey = 'k'.repeat(documentKeyCharacters + 1)
      for (const key of ['', longKey, 'a b', 'ä', 'a\n']) {
        await assert.rejects(store.writeDocument(key, 0, 'x'), TypeError)
      }
      for (const value of ['x'.repeat(documentBytes + 1), '€'.repeat(21_846), LONE_SURROGATE]) {
        await assert.rejects(store.writeDocument('a', 0, value), TypeError)
      }
      for (const revision of [-1, 0.5, Number.NaN]) {
        await assert.rejects(store.writeDocument(KEYRING_DOCUMENT, revision, 'x'), TypeError)
      }
      assert.deepEqual(await store.listDocuments({ prefix: '', cursor: null, limit: 10 }), {
        items: [],
        next: null,
      })
    },
  },
]

async function refused(store: SecretStore, guard: number, ...wrong: readonly Change[]): Promise<void> {
  await assert.rejects(store.write(guard, wrong), TypeError)
}

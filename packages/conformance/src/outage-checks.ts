import assert from 'node:assert/strict'
import { type Change, KEYRING_DOCUMENT, type StoredSecret } from '@talos/envelope'
import { assertTold } from './failure-checks.ts'
import { endOf, losingAnswer, recovered } from './lost-answers.ts'
import {
  assertAbsent,
  assertStored,
  create,
  createAll,
  newSecret,
  openKeyring,
  readOne,
  replace,
  rewrapped,
  writeOne,
} from './records.ts'
import type { StoreCheck } from './store-check.ts'
import type { ProxiedClient } from './store-hooks.ts'

/** More answers than any adapter needs for one write. */
const MOST_ANSWERS = 40
/** An adapter may try again for as long as it is given. */
const IMPATIENT = { timeoutMs: 500 }

/** Checks of CAS-4, DOC-3, FAIL-1 and FAIL-2 with answers that are lost and a backend that is away. */
export const OUTAGE_CHECKS: readonly StoreCheck[] = [
  ...(['create', 'replace', 'rewrap'] as const).map(
    (kind): StoreCheck => ({
      clause: 'CAS-4',
      title: `answers \`already\` to the repetition of a write whose answer was cut: ${kind}`,
      needs: 'proxied',
      async run(context) {
        const { store, proxied } = await context.open()
        const guard = await openKeyring(store)
        const client = await proxied!()
        await atEveryAnswer(client, async (n, cutting) => {
          const first = newSecret(`record ${n}`)
          if (kind !== 'create') await createAll(store, guard, [first])
          const { change, left } = changing(kind, first)
          const end = await cutting(() => writeOne(client.store, guard, change))
          const applied = (await readOne(store, first.name))?.wrap === left.wrap
          const again = await writeOne(client.store, guard, change)
          // A write that the backend had not come to may still have arrived in between.
          if (applied) assert.equal(again, 'already', `after ${end}`)
          else assert.ok(again === 'done' || again === 'already', `${again} after ${end}`)
          await assertStored(store, left)
          return applied
        })
      },
    }),
  ),
  {
    clause: 'DOC-3',
    title: 'answers the revision again to the repetition of a write whose answer was cut',
    needs: 'proxied',
    async run(context) {
      const { store, proxied } = await context.open()
      const client = await proxied!()
      for (const key of [KEYRING_DOCUMENT, 'a']) {
        await atEveryAnswer(client, async (n, cutting) => {
          const value = `by attempt ${n}`
          const revision = (await store.readDocument(key))?.revision ?? 0
          await cutting(async () => String(await client.store.writeDocument(key, revision, value)))
          const applied = (await store.readDocument(key))?.revision === revision + 1
          assert.equal(await client.store.writeDocument(key, revision, value), revision + 1)
          const stored = await store.readDocument(key)
          assert.deepEqual([stored?.value, stored?.revision], [value, revision + 1])
          return applied
        })
      }
    },
  },
  ...(['FAIL-1', 'FAIL-2'] as const).map(
    (clause): StoreCheck => ({
      clause,
      title:
        clause === 'FAIL-1'
          ? 'says unavailable of a write whose answer was cut only if it was not written'
          : 'says that it does not know of a write whose answer was cut after it took effect',
      needs: 'proxied',
      async run(context) {
        const { store, proxied } = await context.open()
        const guard = await openKeyring(store)
        const client = await proxied!()
        await atEveryAnswer(client, async (n, cutting) => {
          const secret = newSecret(`record ${n}`)
          const end = await cutting(() => writeOne(client.store, guard, create(secret)))
          const applied = (await readOne(store, secret.name)) !== null
          assertTold(clause, end, applied)
          return applied
        })
      },
    }),
  ),
  {
    clause: 'FAIL-1',
    title:
      'tells of an outage by its code, has not written what it says is not written, and goes on after it',
    needs: 'outage',
    async run(context) {
      const { store, outage } = await context.open()
      const guard = await openKeyring(store)
      const secret = newSecret('a')
      const end = await outage!()
      for (const call of [
        () => store.read(['a'], IMPATIENT),
        () => store.scan({ cursor: null, limit: 1 }, IMPATIENT),
        () => store.census(IMPATIENT),
        () => store.readDocument(KEYRING_DOCUMENT, IMPATIENT),
        ...(store.shards === undefined ? [] : [() => store.shards!(2, IMPATIENT)]),
      ]) {
        assert.equal(await endOf(call), 'ERR_STORE_UNAVAILABLE')
      }
      const code = await endOf(() => store.write(guard, [create(secret)], IMPATIENT))
      await end()
      await recovered(() => store.readDocument(KEYRING_DOCUMENT))
      if (code === 'ERR_STORE_UNAVAILABLE') await assertAbsent(store, 'a')
      const again = await writeOne(store, guard, create(secret))
      assert.ok(again === 'done' || (again === 'already' && code !== 'ERR_STORE_UNAVAILABLE'), again)
      await assertStored(store, secret)
    },
  },
]

/**
 * Loses the first answer, the second and so on, until a call gets through with none lost.
 *
 * @param attempt - Answers whether the write had taken effect when its answer was lost.
 */
async function atEveryAnswer(
  client: ProxiedClient,
  attempt: (n: number, cutting: (call: () => Promise<string>) => Promise<string>) => Promise<boolean>,
): Promise<void> {
  let lostAfterWrite = 0
  for (let n = 1; n <= MOST_ANSWERS; n += 1) {
    let cut = false
    const applied = await attempt(n, async (call) => {
      const ended = await losingAnswer(client, n, call)
      cut = ended.reached
      return ended.end
    })
    if (!cut) {
      assert.ok(lostAfterWrite > 0, 'no answer was lost after a write had taken effect')
      return
    }
    if (applied) lostAfterWrite += 1
  }
  assert.fail(`a write takes more than ${MOST_ANSWERS} answers`)
}

function changing(
  kind: 'create' | 'replace' | 'rewrap',
  first: StoredSecret,
): { change: Change; left: StoredSecret } {
  if (kind === 'create') return { change: create(first), left: first }
  const next = newSecret(first.name)
  if (kind === 'replace') return { change: replace(first, next), left: next }
  const { change, secret } = rewrapped(first, 'v2')
  return { change, left: secret }
}

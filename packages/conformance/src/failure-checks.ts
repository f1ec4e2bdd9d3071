import assert from 'node:assert/strict'
import { isEnvelopeError, type SecretStore } from '@talos/envelope'
import {
  assertAbsent,
  assertStored,
  create,
  newSecret,
  nextTurn,
  openKeyring,
  readOne,
  replace,
  writeOne,
} from './records.ts'
import type { Opened, StoreCheck } from './store-check.ts'

const UNWRITTEN_CODES = ['ERR_STORE_UNAVAILABLE', 'ERR_STORE_OUTCOME_UNKNOWN']

/** Checks of FAIL-1 to FAIL-3 and ID-1 that need no fault of a network. */
export const FAILURE_CHECKS: readonly StoreCheck[] = [
  {
    clause: 'FAIL-1',
    title: 'refuses every call whose signal is aborted already, and writes nothing',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const options = { signal: AbortSignal.abort() }
      const calls: readonly (() => Promise<unknown>)[] = [
        () => store.write(guard, [create(newSecret('a'))], options),
        () => store.writeDocument('a', 0, 'x', options),
        () => store.read(['a'], options),
        () => store.scan({ cursor: null, limit: 1 }, options),
        () => store.census(options),
        () => store.readDocument('a', options),
        () => store.listDocuments({ prefix: '', cursor: null, limit: 1 }, options),
        ...(store.shards === undefined ? [] : [() => store.shards!(2, options)]),
      ]
      for (const call of calls) await refused(call)
      await assertAbsent(store, 'a')
      assert.equal(await store.readDocument('a'), null)
    },
  },
  {
    clause: 'FAIL-1',
    title: 'gives up a write that has to wait when its time is up or it is aborted, and writes nothing',
    needs: 'hold',
    async run(context) {
      const { store, hold } = await context.open()
      const guard = await openKeyring(store)
      const release = await hold!()
      const abort = new AbortController()
      const late = refused(() => store.write(guard, [create(newSecret('late'))], { timeoutMs: 40 }))
      const document = refused(() => store.writeDocument('late', 0, 'x', { timeoutMs: 40 }))
      const aborted = refused(() =>
        store.write(guard, [create(newSecret('aborted'))], { signal: abort.signal }),
      )
      const patient = newSecret('patient')
      const waiting = writeOne(store, guard, create(patient))
      try {
        await late
        await document
        abort.abort()
        await aborted
      } finally {
        // Whoever fails here is to be told why, not to wait for a store that cannot be closed.
        await release()
      }
      assert.equal(await waiting, 'done')
      for (const name of ['late', 'aborted']) await assertAbsent(store, name)
      assert.equal(await store.readDocument('late'), null)
      await assertStored(store, patient)
    },
  },
  ...(['FAIL-1', 'FAIL-2'] as const).map(
    (clause): StoreCheck => ({
      clause,
      title:
        clause === 'FAIL-1'
          ? 'says unavailable of a write that is aborted at any moment only if it was not written'
          : 'says that it does not know of a write that was aborted after it may have taken effect',
      async run(context) {
        const { store } = await context.open()
        const guard = await openKeyring(store)
        for (let round = 0; round < 60; round += 1) {
          const first = newSecret(`record ${round}`)
          const next = newSecret(first.name)
          const change = round % 2 === 0 ? create(next) : replace(first, next)
          if (round % 2 === 1) assert.equal(await writeOne(store, guard, create(first)), 'done')
          const abort = new AbortController()
          const call = store.write(guard, [change], { signal: abort.signal })
          const ended = call.then(([outcome]) => String(outcome), codeOf)
          for (let step = 0; step < round % 10; step += 1) {
            await (round % 3 === 0 ? Promise.resolve() : nextTurn())
          }
          abort.abort()
          assertTold(clause, await ended, (await readOne(store, first.name))?.wrap === next.wrap)
          await writeOne(store, guard, change)
          await assertStored(store, next)
        }
      },
    }),
  ),
  {
    clause: 'FAIL-3',
    title: 'leaves the caller’s client open and set up as it was, through calls that succeed and that fail',
    needs: 'clientState',
    async run(context) {
      const opened = await context.open()
      const before = opened.clientState!()
      await useAndFail(opened)
      assert.deepEqual(opened.clientState!(), before)
    },
  },
  {
    clause: 'FAIL-3',
    title: 'goes on working after calls that failed',
    async run(context) {
      const opened = await context.open()
      await useAndFail(opened)
      assert.equal(await writeOne(opened.store, 1, create(newSecret('after'))), 'done')
      assert.notEqual(await readOne(opened.store, 'after'), null)
    },
  },
  {
    clause: 'ID-1',
    title: 'says the same of itself in every call and through every client',
    async run(context) {
      const { clients, store } = await context.open()
      const identity = await store.identify()
      await openKeyring(store)
      assert.equal(await writeOne(store, 1, create(newSecret('a'))), 'done')
      for (const client of clients) assert.deepEqual(await client.identify(), identity)
      assert.ok(identity.kind.length > 0)
      assert.ok(identity.incarnation.length >= 8, 'an incarnation must not meet another by chance')
      assert.ok(identity.maxSealedBytes >= 131_072)
      assert.equal(
        identity.reasons.length > 0,
        identity.level === 'advisory',
        'reasons say why it is advisory',
      )
    },
  },
  {
    clause: 'ID-1',
    title: 'has another incarnation than every other store',
    async run(context) {
      const stores: SecretStore[] = []
      for (let n = 0; n < 3; n += 1) stores.push((await context.open()).store)
      const incarnations = await Promise.all(
        stores.map(async (store) => (await store.identify()).incarnation),
      )
      assert.equal(new Set(incarnations).size, 3)
    },
  },
  {
    clause: 'ID-1',
    title: 'has another incarnation after a restore, for every client',
    needs: 'restore',
    async run(context) {
      const { clients, store, restore } = await context.open()
      const { incarnation } = await store.identify()
      await restore!()
      const after = await Promise.all(clients.map(async (client) => (await client.identify()).incarnation))
      assert.equal(new Set(after).size, 1)
      assert.notEqual(after[0], incarnation)
    },
  },
]

async function useAndFail({ store }: Opened): Promise<void> {
  const guard = await openKeyring(store)
  assert.equal(await writeOne(store, guard, create(newSecret('a'))), 'done')
  assert.equal(await writeOne(store, guard + 1, create(newSecret('b'))), 'fenced')
  await refused(() => store.write(guard, [create(newSecret('c'))], { signal: AbortSignal.abort() }))
  await refused(() => store.read(['a'], { signal: AbortSignal.abort() }))
  await store.scan({ cursor: null, limit: 1 })
  await store.census()
}

/** Asserts that a call is refused before it has written anything. */
async function refused(call: () => Promise<unknown>): Promise<void> {
  const code = await call().then(() => 'no error', codeOf)
  assert.equal(code, 'ERR_STORE_UNAVAILABLE')
}

/**
 * Asserts that the end of a write tells the truth about its effect.
 *
 * @param end - The outcome or the code of the error.
 * @param applied - Whether the write had taken effect by then.
 */
export function assertTold(clause: 'FAIL-1' | 'FAIL-2', end: string, applied: boolean): void {
  if (clause === 'FAIL-1') {
    if (end === 'ERR_STORE_UNAVAILABLE')
      assert.equal(applied, false, 'a write said to be certainly not written')
    return
  }
  const truths = applied ? ['done', 'already', 'ERR_STORE_OUTCOME_UNKNOWN'] : UNWRITTEN_CODES
  assert.ok(truths.includes(end), `${end} of a write that ${applied ? 'took effect' : 'is not there'}`)
}

/** The code of a failure that may be repeated; what else was thrown is told by its words. */
export function codeOf(error: unknown): string {
  if (!isEnvelopeError(error)) return `${error}`
  return error.retryable ? error.code : `${error.code}, not retryable`
}

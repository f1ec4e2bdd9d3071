import assert from 'node:assert/strict'
import { type CallOptions, type Change, isEnvelopeError, type SecretStore } from '@talos/envelope'
import { contentOf, MARKED_EXPECTED_WRAP, MARKED_VALUE, markedSecret } from './error-content.ts'
import { losingAnswer, recovered } from './lost-answers.ts'
import { create, createAll, nextTurn, openKeyring } from './records.ts'
import type { StoreCheck } from './store-check.ts'

/** An adapter may try again for as long as it is given. */
const IMPATIENT = { timeoutMs: 300 }
/** More answers than any adapter needs for one call. */
const MOST_ANSWERS = 40
const DOCUMENT = 'a'

/** Checks of FAIL-4. */
export const ERROR_CONTENT_CHECKS: readonly StoreCheck[] = [
  {
    clause: 'FAIL-4',
    title: 'carries no content in the error of a call that is aborted before it begins or while it runs',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      await createAll(store, guard, [markedSecret(0)])
      for (let turns = -1; turns < 8; turns += 1) {
        for (const call of callsOn(store, guard)) {
          const abort = new AbortController()
          if (turns < 0) abort.abort()
          const error = errorOf(call({ signal: abort.signal }))
          for (let turn = 0; turn < turns; turn += 1) await nextTurn()
          abort.abort()
          assertBare(await error)
        }
      }
      await assert.rejects(store.write(guard, [create(markedSecret(1))], { signal: AbortSignal.abort() }))
    },
  },
  {
    clause: 'FAIL-4',
    title: 'carries no content in the refusal of what is outside of the bounds',
    async run(context) {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const { maxSealedBytes } = await store.identify()
      const secret = markedSecret(0)
      const long = (text: string, length: number) => text.repeat(Math.ceil(length / text.length))
      const wrong: readonly (() => Promise<unknown>)[] = [
        ...[
          { ...secret, name: `${secret.name}\0` },
          { ...secret, name: long(secret.name, 513) },
          { ...secret, wrap: `${secret.wrap} ` },
          { ...secret, wrap: long(secret.wrap, 1_465) },
          { ...secret, meta: long(secret.meta, 16_385) },
          { ...secret, sealed: new Uint8Array(Buffer.from(long(secret.name, maxSealedBytes + 1))) },
        ].map((each) => () => store.write(guard, [create(each)])),
        () => store.write(guard, [create(secret), create(secret)]),
        () => store.read([`${secret.name}\0`]),
        () => store.writeDocument(DOCUMENT, 0, long(MARKED_VALUE, 65_537)),
      ]
      const errors = await Promise.all(wrong.map((call) => errorOf(call())))
      assert.ok(errors.some((error) => error instanceof TypeError))
      for (const error of errors) assertBare(error)
    },
  },
  {
    clause: 'FAIL-4',
    title:
      'carries no content in the error of a call that waits for somebody else’s lock until its time is up',
    needs: 'hold',
    async run(context) {
      const { store, hold } = await context.open()
      const guard = await openKeyring(store)
      await createAll(store, guard, [markedSecret(0)])
      const release = await hold!()
      const errors = await Promise.all(callsOn(store, guard).map((call) => errorOf(call(IMPATIENT))))
      await release()
      assert.ok(errors.some(isEnvelopeError), 'nothing had to wait for the lock')
      for (const error of errors) assertBare(error)
    },
  },
  {
    clause: 'FAIL-4',
    title: 'carries no content in the error of a call whose answer was cut',
    needs: 'proxied',
    async run(context) {
      const { store, proxied } = await context.open()
      const guard = await openKeyring(store)
      const client = await proxied!()
      for (const call of callsOn(client.store, guard)) {
        for (let n = 1; n <= MOST_ANSWERS; n += 1) {
          let error: unknown
          const { reached } = await losingAnswer(client, n, async () => {
            error = await errorOf(call({}))
            return ''
          })
          assertBare(error)
          if (!reached) break
        }
      }
    },
  },
  {
    clause: 'FAIL-4',
    title: 'carries no content in the error of a call during an outage',
    needs: 'outage',
    async run(context) {
      const { store, outage } = await context.open()
      const guard = await openKeyring(store)
      const end = await outage!()
      for (const call of callsOn(store, guard)) {
        const error = await errorOf(call(IMPATIENT))
        assert.ok(error instanceof Error, 'an outage ends in an error')
        assertBare(error)
      }
      await end()
      await recovered(() => store.readDocument(DOCUMENT))
    },
  },
  {
    clause: 'FAIL-4',
    title: 'carries no content in the errors over data that was damaged behind its back',
    needs: 'destroySealed',
    async run(context) {
      const { store, destroySealed } = await context.open()
      const guard = await openKeyring(store)
      await createAll(store, guard, [markedSecret(0)])
      await destroySealed!()
      const errors: unknown[] = []
      for (const call of callsOn(store, guard)) errors.push(await errorOf(call({})))
      assert.ok(
        errors.some(isEnvelopeError),
        'no call has failed: the hook must leave nothing that can be read',
      )
      for (const error of errors) assertBare(error)
    },
  },
]

/** Calls that are given content: every kind of change, in a call of its own, and the others that take or answer some. */
function callsOn(store: SecretStore, guard: number): readonly ((options: CallOptions) => Promise<unknown>)[] {
  const [there, other] = [markedSecret(0), markedSecret(1)]
  const { sealed: _, ...header } = other
  const changes: readonly Change[] = [
    create(other),
    create(there),
    { kind: 'replace', expectedWrap: MARKED_EXPECTED_WRAP, secret: other },
    { kind: 'replace', expectedWrap: there.wrap, secret: { ...there, wrap: MARKED_EXPECTED_WRAP } },
    { kind: 'rewrap', expectedWrap: there.wrap, secret: { ...header, name: there.name } },
    { kind: 'delete', expectedWrap: MARKED_EXPECTED_WRAP, name: there.name },
  ]
  return [
    // First, before a replace has put back what was destroyed.
    (options) => store.read([there.name, other.name], options),
    ...changes.map((change) => (options: CallOptions) => store.write(guard, [change], options)),
    (options) => store.writeDocument(DOCUMENT, 0, MARKED_VALUE, options),
    (options) => store.scan({ cursor: null, limit: 10 }, options),
  ]
}

function errorOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => undefined,
    (error: unknown) => error,
  )
}

function assertBare(error: unknown): void {
  if (error !== undefined)
    assert.equal(contentOf(error), null, 'an error carries what was written or asked for')
}

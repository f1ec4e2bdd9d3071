import { MemoryStore, type SecretStore, type StoredDocument, StoreError } from '@talos/envelope'
import { describe, expect, it } from 'vitest'
import { IdempotencyKeys, type KeptAnswer, type KeyedRequest } from '../../src/idempotency.ts'

const REQUEST: KeyedRequest = {
  key: 'k',
  principal: 'ops',
  method: 'POST',
  path: '/rotate-all',
  condition: 'null',
  body: { reason: 'x' },
}
const answer = (text: string): KeptAnswer => ({ status: 202, headers: {}, body: { text } })
const PREFIX = { prefix: 'http-request/', cursor: null, limit: 1_000 }

/** A store whose documents are as old as a test says. */
function ageing(inner: SecretStore, ageMs: () => number | null): SecretStore {
  const aged = (document: StoredDocument): StoredDocument => ({ ...document, ageMs: ageMs() })
  return new Proxy(inner, {
    get(target, property: keyof SecretStore) {
      if (property === 'readDocument')
        return async (key: string) => {
          const found = await target.readDocument(key)
          return found === null ? null : aged(found)
        }
      if (property === 'listDocuments')
        return async (query: typeof PREFIX) => {
          const page = await target.listDocuments(query)
          return { ...page, items: page.items.map(aged) }
        }
      const method = target[property] as (...args: unknown[]) => unknown
      return method.bind(target)
    },
  })
}

describe('Rule 6: idempotency keys', () => {
  it('Rule 6: an answer is kept for a day, and then the key is a new one', async () => {
    let ageMs = 24 * 60 * 60 * 1000
    const keys = new IdempotencyKeys(ageing(new MemoryStore(), () => ageMs))
    expect((await keys.run(REQUEST, async () => answer('first'))).body).toEqual({ text: 'first' })
    expect((await keys.run(REQUEST, async () => answer('second'))).body).toEqual({ text: 'first' })
    ageMs += 1
    expect((await keys.run(REQUEST, async () => answer('third'))).body).toEqual({ text: 'third' })
  })

  it('Rule 6: a request whose process died is carried out by the next one after a minute', async () => {
    let ageMs = 60_000
    const store = ageing(new MemoryStore(), () => ageMs)
    const died = new IdempotencyKeys(store)
    void died.run(REQUEST, () => new Promise(() => {}))
    const keys = new IdempotencyKeys(store, { waitMs: 0 })
    const attempt = () => keys.run(REQUEST, async () => answer('done by the next'))
    await expect(attempt()).rejects.toMatchObject({ code: 'IDEMPOTENCY_IN_FLIGHT' })
    ageMs += 1
    expect((await attempt()).body).toEqual({ text: 'done by the next' })
  })

  it('Rule 6: where the store has no clock, the time in the document counts', async () => {
    const inner = new MemoryStore()
    const store = ageing(inner, () => null)
    const keys = new IdempotencyKeys(store)
    await keys.run(REQUEST, async () => answer('first'))
    expect((await keys.run(REQUEST, async () => answer('second'))).replayed).toBe(true)
    const [document] = (await inner.listDocuments(PREFIX)).items
    const { at, ...entry } = JSON.parse(document?.value ?? '') as { readonly at: number }
    const old = JSON.stringify({ ...entry, at: at - 86_400_001 })
    await inner.writeDocument(document?.key ?? '', document?.revision ?? 0, old)
    expect((await keys.run(REQUEST, async () => answer('third'))).replayed).toBe(false)
  })

  it('Rule 6: what is over is swept away, and at most so many keys are kept', async () => {
    const inner = new MemoryStore()
    let ageMs = 0
    const store = ageing(inner, () => ageMs)
    const keys = new IdempotencyKeys(store, { mostKeys: 5 })
    const run = (key: string) => keys.run({ ...REQUEST, key }, async () => answer(key))
    for (const key of ['a', 'b', 'c', 'd', 'e']) await run(key)
    await expect(run('f')).rejects.toMatchObject({ code: 'IDEMPOTENCY_FULL' })
    expect((await run('a')).replayed).toBe(true)
    expect((await inner.listDocuments(PREFIX)).items).toHaveLength(5)
    ageMs = 86_400_001
    const next = new IdempotencyKeys(store, { mostKeys: 5 })
    await next.run({ ...REQUEST, key: 'g' }, async () => answer('g'))
    expect((await inner.listDocuments(PREFIX)).items).toHaveLength(1)
  })

  it('Rule 6: of many processes that get one key at once, one carries the request out', async () => {
    const store = new MemoryStore()
    let carriedOut = 0
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        new IdempotencyKeys(store).run(REQUEST, async () => {
          carriedOut += 1
          return answer(`${carriedOut}`)
        }),
      ),
    )
    expect(carriedOut).toBe(1)
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1)
  })

  it('Rule 6: an answer that is too long to be kept is given once, and the request is not carried out again', async () => {
    const keys = new IdempotencyKeys(new MemoryStore())
    const long = answer('x'.repeat(70_000))
    expect((await keys.run(REQUEST, async () => long)).body).toEqual(long.body)
    const again = keys.run(REQUEST, () => Promise.reject(new Error('not again')))
    await expect(again).rejects.toMatchObject({ code: 'IDEMPOTENT_ANSWER_NOT_KEPT' })
  })

  it('Rule 6: a claim that was not answered is repeated, and begins the request once', async () => {
    const inner = new MemoryStore()
    let isFirst = true
    const store = new Proxy<SecretStore>(inner, {
      get: (target, property: keyof SecretStore) =>
        property === 'writeDocument'
          ? async (...args: Parameters<SecretStore['writeDocument']>) => {
              const revision = await target.writeDocument(...args)
              if (!isFirst) return revision
              isFirst = false
              throw new StoreError('ERR_STORE_OUTCOME_UNKNOWN', 'no answer', { retryable: true })
            }
          : (target[property] as (...args: unknown[]) => unknown).bind(target),
    })
    const keys = new IdempotencyKeys(store)
    expect((await keys.run(REQUEST, async () => answer('once'))).replayed).toBe(false)
    expect((await keys.run(REQUEST, async () => answer('twice'))).body).toEqual({ text: 'once' })
  })

  it('Rule 6: bodies that mean the same are the same, however they are spelt', async () => {
    const keys = new IdempotencyKeys(new MemoryStore())
    const run = (body: unknown) => keys.run({ ...REQUEST, body }, async () => answer('first'))
    await run({ a: 1, b: { c: [1, 2], d: null } })
    expect((await run({ b: { d: null, c: [1, 2] }, a: 1 })).replayed).toBe(true)
    await expect(run({ a: 1, b: { c: [2, 1], d: null } })).rejects.toMatchObject({
      code: 'IDEMPOTENCY_KEY_REUSED',
    })
  })
})

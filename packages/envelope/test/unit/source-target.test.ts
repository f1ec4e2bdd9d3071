import { type Outcome, type RotatableSource, type SourceEnvelope, StoreError } from '@talos/envelope'
import { heldClock } from '@talos/envelope/testing'
import { describe, expect, test, vi } from 'vitest'
import { encodeContext } from '../../src/format/context.ts'
import type { PlannedRewrap, RewrapTarget } from '../../src/rotation/rewrap-target.ts'
import { sourceTarget } from '../../src/rotation/source-target.ts'

const WRAP = 'talos:v2:v1:AAECAw'
const SECRET = 'hunter2'
const ENVELOPE: SourceEnvelope = { id: '["7"]', wrap: WRAP, context: { id: '7' } }
const ITEM = { name: '["7"]', wrap: WRAP, context: encodeContext({ id: '7' }), meta: null }
const QUERY = { shard: null, cursor: null, limit: 2, exceptKekId: 'v2' }

const clock = heldClock()

function targetOf(source: Partial<RotatableSource>): RewrapTarget {
  const none: RotatableSource = {
    name: 'orders',
    count: async () => 0,
    scan: async () => ({ items: [], next: null }),
    rewrap: async () => [],
  }
  return sourceTarget({ ...none, ...source }, clock.runtime)
}

const answering = (page: unknown): RewrapTarget => targetOf({ scan: async () => page as never })
const pageOf = (...items: readonly unknown[]): unknown => ({ items, next: null })

describe('what a declared source is asked and answers', () => {
  test('reaches the rotation as it is, with the context encoded', async () => {
    const asked: unknown[] = []
    const target = targetOf({
      scan: async (query) => {
        asked.push(query)
        return { items: [ENVELOPE], next: 'further' }
      },
      rewrap: async (changes) => {
        asked.push(changes)
        return ['already']
      },
    })
    expect(target.source).toBe('orders')
    expect(await target.scan(QUERY, {})).toEqual({ items: [ITEM], next: 'further' })
    const rewraps: readonly PlannedRewrap[] = [{ item: ITEM, wrap: 'talos:v2:v2:BBBB' }]
    expect(await target.write(1, rewraps, '2030-01-01T00:00:00Z', {})).toEqual(['already'])
    expect(asked).toEqual([
      { cursor: null, limit: 2, exceptKekId: 'v2' },
      [{ id: '["7"]', expectedWrap: WRAP, wrap: 'talos:v2:v2:BBBB' }],
    ])
  })

  test('may say that something is no envelope, or that its context cannot be told, for one row alone', async () => {
    const rows = [
      { id: 'no envelope', wrap: null, context: { id: '7' } },
      { id: 'no context', wrap: WRAP, context: null },
    ]
    const { items } = await answering(pageOf(...rows)).scan(QUERY, {})
    expect(items).toEqual([
      { name: 'no envelope', wrap: '', context: ITEM.context, meta: null },
      { name: 'no context', wrap: WRAP, context: null, meta: null },
    ])
  })

  test.for([
    ['no pairs', {}],
    ['an empty key', { '': 'x' }],
    ['a long value', { id: 'x'.repeat(5_000) }],
    ['a lone surrogate', { id: '\ud800' }],
    ['U+0000', { id: 'a\0b' }],
  ] as const)('is damaged in one row whose context has %s', async ([, context]) => {
    const { items } = await answering(pageOf({ ...ENVELOPE, context })).scan(QUERY, {})
    expect(items).toEqual([{ ...ITEM, context: null }])
  })
})

describe('a declared source that lies', () => {
  test.for([
    ['nothing', undefined, 'array items'],
    ['no items', { next: null }, 'array items'],
    ['items that are no array', { items: SECRET, next: null }, 'array items'],
    ['too many items', pageOf(ENVELOPE, ENVELOPE, ENVELOPE), 'at most limit items'],
    ['no next', { items: [] }, 'next is null or a text'],
    ['an empty next', { items: [], next: '' }, 'next is null or a text'],
    ['a long next', { items: [], next: SECRET.repeat(400) }, 'next is null or a text'],
    ['a number as next', { items: [], next: 7 }, 'next is null or a text'],
    ['an item that is null', pageOf(null), 'an id is 1 to 512 bytes'],
    ['a number as id', pageOf({ ...ENVELOPE, id: 7 }), 'an id is'],
    ['an empty id', pageOf({ ...ENVELOPE, id: '' }), 'an id is'],
    ['a long id', pageOf({ ...ENVELOPE, id: SECRET.repeat(74) }), 'an id is'],
    ['an id with U+0000', pageOf({ ...ENVELOPE, id: `${SECRET}\0` }), 'an id is'],
    ['an id with a lone surrogate', pageOf({ ...ENVELOPE, id: `${SECRET}\ud800` }), 'an id is'],
    ['the whole envelope', pageOf({ ...ENVELOPE, wrap: `${WRAP}:${SECRET}` }), 'without the sealed part'],
    ['a plaintext as wrap', pageOf({ ...ENVELOPE, wrap: SECRET }), 'a wrap is talos:v2:'],
    ['an older envelope', pageOf({ ...ENVELOPE, wrap: `talos:v1:v1:${SECRET}` }), 'a wrap is'],
    ['a wrap with a line break', pageOf({ ...ENVELOPE, wrap: `${WRAP}\n` }), 'a wrap is'],
    ['a wrap that is too long', pageOf({ ...ENVELOPE, wrap: WRAP + 'A'.repeat(1_464) }), 'a wrap is'],
    ['no wrap', pageOf({ id: '7', context: {} }), 'a wrap is'],
    ['no context', pageOf({ id: '7', wrap: WRAP }), 'a context is an object of texts'],
    ['a context with a number', pageOf({ ...ENVELOPE, context: { id: 7 } }), 'a context is'],
    ['a context that is a text', pageOf({ ...ENVELOPE, context: SECRET }), 'a context is'],
  ] as const)('is told which rule %s breaks, and is not asked again', async ([, page, rule]) => {
    const scanning = answering(page).scan(QUERY, {})
    await expect(scanning).rejects.toMatchObject({
      code: 'ERR_SOURCE_CONTRACT',
      retryable: false,
      source: 'orders',
      message: expect.stringContaining(rule),
    })
    await expect(scanning).rejects.toThrow('The declared source "orders"')
    await expect(scanning).rejects.not.toThrow(SECRET)
  })

  test('cannot send a rotation round in a circle', async () => {
    const scanning = targetOf({ scan: async () => ({ items: [], next: 'here' }) })
    expect(await scanning.scan(QUERY, {})).toEqual({ items: [], next: 'here' })
    await expect(scanning.scan({ ...QUERY, cursor: 'here' }, {})).rejects.toThrow('another cursor')
  })

  test.for([
    ['nothing', undefined],
    ['too few', []],
    ['too many', ['done', 'done']],
    ['something else', [SECRET]],
    ['what only a store may answer', ['fenced']],
    ['nothing for one', [null]],
  ] as const)('is not believed when its outcomes are %s', async ([, outcomes]) => {
    const target = targetOf({
      rewrap: async () => outcomes as never as readonly Exclude<Outcome, 'fenced'>[],
    })
    const writing = target.write(1, [{ item: ITEM, wrap: 'talos:v2:v2:BBBB' }], '', {})
    await expect(writing).rejects.toMatchObject({ code: 'ERR_SOURCE_CONTRACT', retryable: false })
    await expect(writing).rejects.not.toThrow(SECRET)
  })
})

describe('a declared source that fails', () => {
  test.for([
    ['an error of its own', new Error(SECRET), true, 'threw an error of its own.'],
    ['a TypeError, as fetch does', new TypeError('fetch failed'), true, 'threw an error of its own.'],
    ['no error', SECRET, true, 'threw an error of its own.'],
    [
      'an error with a code',
      Object.assign(new Error(SECRET), { code: '57P01' }),
      true,
      'of its own (code 57P01).',
    ],
    [
      'an outage of this library',
      new StoreError('ERR_STORE_UNAVAILABLE', 'no connection', { retryable: true }),
      true,
      'failed with ERR_STORE_UNAVAILABLE.',
    ],
    [
      'an error of this library that no repetition mends',
      new StoreError('ERR_STORE_CONFIGURATION', 'no such table'),
      false,
      'failed with ERR_STORE_CONFIGURATION.',
    ],
  ] as const)(
    'by %s is named, and nothing is shown of what it threw',
    async ([, thrown, retryable, said]) => {
      for (const isLate of [false, true]) {
        const fail = (): never => {
          throw thrown
        }
        const failing = isLate ? async () => fail() : fail
        const target = targetOf({ scan: failing, rewrap: failing })
        for (const call of [target.scan(QUERY, {}), target.write(1, [], '', {})]) {
          await expect(call).rejects.toMatchObject({
            code: 'ERR_SOURCE_FAILED',
            retryable,
            source: 'orders',
            message: expect.stringContaining(said),
          })
          await expect(call).rejects.not.toThrow(SECRET)
        }
      }
    },
  )

  test('by never answering is given up after the time of the call, and told so', async () => {
    const asked: (AbortSignal | undefined)[] = []
    const target = targetOf({
      scan: (_, { signal }) => {
        asked.push(signal)
        return new Promise(() => {})
      },
    })
    const scanning = target.scan(QUERY, { timeoutMs: 2_000 })
    const refusal = expect(scanning).rejects.toMatchObject({ code: 'ERR_SOURCE_FAILED', retryable: true })
    await vi.waitFor(() => expect(asked).toHaveLength(1))
    await clock.advance(2_000)
    await refusal
    expect(asked[0]?.aborted).toBe(true)
  })

  test('is not waited for once the caller has left', async () => {
    const leaving = new AbortController()
    const target = targetOf({ scan: () => new Promise(() => {}) })
    const scanning = target.scan(QUERY, { signal: leaving.signal })
    leaving.abort()
    await expect(scanning).rejects.toThrow('the call was aborted')
    await expect(target.scan(QUERY, { signal: leaving.signal })).rejects.toThrow('the call was aborted')
  })
})

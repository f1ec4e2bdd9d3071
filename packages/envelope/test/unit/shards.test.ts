import {
  checkShard,
  MemoryStore,
  nameRangeOf,
  nameShards,
  STORE_LIMITS,
  type StoredSecret,
  shardCount,
  shardLimit,
} from '@talos/envelope'
import { interceptStore } from '@talos/envelope/testing'
import { describe, expect, it } from 'vitest'

const secretOf = (name: string): StoredSecret => ({
  name,
  wrap: `talos:v2:v1:${Buffer.from(name).toString('base64url')}`,
  meta: '{}',
  sealed: new Uint8Array(28),
})

async function filled(names: readonly string[], recordsPerShard?: number): Promise<MemoryStore> {
  const store = new MemoryStore(recordsPerShard === undefined ? {} : { recordsPerShard })
  await store.writeDocument('keyring', 0, '{}')
  await store.write(
    1,
    names.map((name) => ({ kind: 'create', secret: secretOf(name) })),
  )
  return store
}

describe('shards of ranges of names', () => {
  it('are one more than their borders, and each begins where the one before it ends', () => {
    const borders = ['a', 'b.c', '🔑', '\u0001-_']
    const ranges = nameShards(borders).map(nameRangeOf)
    expect(ranges.map(({ upTo }) => upTo)).toEqual([...borders, null])
    expect(ranges.map(({ after }) => after)).toEqual(['', ...borders])
  })

  it('are one of everything without a border, which is also what an absent shard means', () => {
    const [only = ''] = nameShards([])
    expect(nameRangeOf(only)).toEqual({ after: '', upTo: null })
    expect(nameRangeOf(undefined)).toEqual({ after: '', upTo: null })
  })

  it('fit between the two longest names', () => {
    for (const shard of nameShards(['x'.repeat(512), '🔑'.repeat(128)])) {
      expect(shard.length).toBeLessThanOrEqual(STORE_LIMITS.shardCharacters)
      expect(() => checkShard(shard)).not.toThrow()
    }
  })

  it('are refused, without being quoted, when they are no such text', () => {
    for (const text of ['', 'ä.', 'a b.', 'no shard', 'YQ', 'YQ.YQ.YQ', `.${'a'.repeat(1_500)}`]) {
      expect(() => nameRangeOf(text)).toThrow(TypeError)
      expect(() => nameRangeOf(text)).toThrow(/^shard: (needs 1 to 1500|is none)/)
    }
  })
})

describe('the number of shards', () => {
  it('is 1 to 32', () => {
    for (const atMost of [1, 2, 32]) expect(shardLimit(atMost)).toBe(atMost)
    for (const atMost of [0, 33, -1, 1.5, Number.NaN]) expect(() => shardLimit(atMost)).toThrow(TypeError)
  })

  it('leaves every shard its records', () => {
    expect([0, 1_999, 3_999, 4_000, 1e9].map((records) => shardCount(records, 2_000, 8))).toEqual([
      1, 1, 1, 2, 8,
    ])
  })
})

describe('a memory store', () => {
  it('divides few records only when it is told to', async () => {
    const names = ['a', 'b', 'c', 'd', 'e']
    expect(await (await filled(names)).shards(4)).toHaveLength(1)
    const store = await filled(names, 1)
    const shards = await store.shards(4)
    const pages = await Promise.all(shards.map((shard) => store.scan({ cursor: null, limit: 10, shard })))
    expect(pages.map(({ items }) => items.map(({ name }) => name).join(''))).toEqual(['a', 'b', 'c', 'de'])
  })

  it('refuses a shard that it never gave before it reads anything', async () => {
    const store = await filled(['a'])
    await expect(store.scan({ cursor: null, limit: 1, shard: 'a' })).rejects.toThrow(TypeError)
    await expect(store.shards(33)).rejects.toThrow(TypeError)
  })
})

describe('an intercepted store', () => {
  it('can be divided exactly when the store behind it can', async () => {
    const store = await filled(['a', 'b'], 1)
    const methods: string[] = []
    const seen = interceptStore(store, ({ method, proceed }) => {
      methods.push(method)
      return proceed()
    })
    expect(await seen.shards?.(2)).toHaveLength(2)
    expect(methods).toEqual(['shards'])
    const undivided = Object.assign(Object.create(store) as MemoryStore, { shards: undefined })
    expect('shards' in interceptStore(undivided, ({ proceed }) => proceed())).toBe(false)
  })
})

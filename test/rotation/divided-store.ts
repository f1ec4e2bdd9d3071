import type { ScanQuery, SecretStore } from '@talos/envelope'

/** How a store with few records is to look like one with many. */
export interface Division {
  /** The most records of a page. */
  readonly pageSize: number
  /** 1 leaves it to the store. */
  readonly shards: number
}

/**
 * Gives a store small pages and as many shards as a large one has, so that a rotation of 25 records has every step that one of
 * millions has.
 */
export function dividedStore(inner: SecretStore, { pageSize, shards }: Division): SecretStore {
  const isOwn = shards === 1
  return {
    identify: (options) => inner.identify(options),
    read: (names, options) => inner.read(names, options),
    write: (guard, changes, options) => inner.write(guard, changes, options),
    census: (options) => inner.census(options),
    readDocument: (key, options) => inner.readDocument(key, options),
    writeDocument: (key, revision, value, options) => inner.writeDocument(key, revision, value, options),
    listDocuments: (query, options) => inner.listDocuments(query, options),
    async scan(query, options) {
      if (isOwn || query.shard === undefined)
        return await inner.scan({ ...query, limit: Math.min(query.limit, pageSize) }, options)
      const { shard, ...whole } = query
      const limit = Math.min(query.limit, pageSize * shards)
      const page = await inner.scan({ ...whole, limit } satisfies ScanQuery, options)
      return { ...page, items: page.items.filter(({ name }) => shardOf(name, shards) === shard) }
    },
    ...(isOwn
      ? inner.shards === undefined
        ? {}
        : { shards: inner.shards.bind(inner) }
      : { shards: async () => Array.from({ length: shards }, (_, number) => `${number}/${shards}`) }),
  }
}

function shardOf(name: string, shards: number): string {
  const sum = [...name].reduce((total, letter) => total + letter.charCodeAt(0), 0)
  return `${sum % shards}/${shards}`
}

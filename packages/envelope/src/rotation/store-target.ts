import { encodeContext } from '../format/context.ts'
import { parseMeta, type RecordMeta, serialiseMeta } from '../store/record-meta.ts'
import type { Change, SecretHeader, SecretStore } from '../store/secret-store.ts'
import type { RewrapItem, RewrapTarget } from './rewrap-target.ts'

/** The records of the vault's own store. */
export function storeTarget(store: SecretStore, namespace: string): RewrapTarget {
  return {
    source: null,
    async scan({ shard, ...query }, options) {
      const page = await store.scan(shard === null ? query : { ...query, shard }, options)
      return { items: page.items.map((header) => itemOf(header, namespace)), next: page.next }
    },
    async write(guard, rewraps, at, options) {
      const changes = rewraps.map(({ item, wrap }): Change => {
        const meta = serialiseMeta({ ...(item.meta as RecordMeta), rewrappedAt: at })
        return { kind: 'rewrap', expectedWrap: item.wrap, secret: { name: item.name, wrap, meta } }
      })
      return await store.write(guard, changes, options)
    },
  }
}

function itemOf({ name, wrap, meta: text }: SecretHeader, namespace: string): RewrapItem {
  const meta = parseMeta(text)
  try {
    const context = meta === null ? null : encodeContext({ ...meta.context, namespace, name })
    return { name, wrap, context, meta }
  } catch {
    return { name, wrap, context: null, meta }
  }
}

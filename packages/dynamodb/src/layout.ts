import { createHash } from 'node:crypto'
import type { AttributeValue } from '@aws-sdk/client-dynamodb'

/** One item as DynamoDB takes and gives it. */
export type Item = Record<string, AttributeValue>

/** The key of one item. */
export type Key = { readonly pk: { readonly S: string }; readonly sk: { readonly S: string } }

/** The partitions that headers are spread over, and the guard items that writers are spread over. */
export const SHARDS = 16
export const GUARDS = 16

/** Sealed bytes up to this length stay in the header's item, which then still weighs one unit: 1 KB. */
export const INLINE_SEALED_BYTES = 512

/** The longest sealed bytes: an item holds 400 KB with its names. */
export const MAX_SEALED_BYTES = 350_000

/** The version of the layout, kept in the item `#store`. */
export const LAYOUT_VERSION = 1

export const DEFAULT_KEY_PREFIX = 'talos'

const KEY_PREFIX = /^[\x21-\x7e]{1,64}$/

/** Where each item of one store is. */
export class Layout {
  readonly #prefix: string

  /** @throws TypeError for a prefix that is not 1 to 64 visible ASCII characters without `#`. */
  constructor(keyPrefix: string) {
    if (!KEY_PREFIX.test(keyPrefix) || keyPrefix.includes('#')) {
      throw new TypeError('keyPrefix: needs 1 to 64 visible ASCII characters, and no #')
    }
    this.#prefix = keyPrefix
  }

  /** The item that says which layout this is and which data. */
  get store(): Key {
    return keyOf(`${this.#prefix}#store`, 'store')
  }

  /** One of the guard items. */
  guard(number: number): Key {
    return keyOf(`${this.#prefix}#guard#${number.toString(16)}`, 'guard')
  }

  /** The partition of all documents. */
  get documents(): string {
    return `${this.#prefix}#document`
  }

  document(key: string): Key {
    return keyOf(this.documents, key)
  }

  /** One of the partitions of headers. */
  secrets(shard: number): string {
    return `${this.#prefix}#secret#${shard.toString(16)}`
  }

  /** The header of a secret. */
  secret(name: string): Key {
    return keyOf(this.secrets(shardOf(name)), name)
  }

  /** The sealed bytes of a secret, where they do not fit beside its header. */
  sealed(name: string): Key {
    return keyOf(`${this.#prefix}#sealed#${name}`, 'sealed')
  }
}

/** The partition that a name belongs to. It never changes, so no record is carried past a cursor. */
export function shardOf(name: string): number {
  const [first = 0] = createHash('sha256').update(name).digest()
  return first % SHARDS
}

export function textOf(item: Item | undefined, attribute: string): string | undefined {
  return item?.[attribute]?.S
}

/** A revision, or 0 where there is none. */
export function revisionOf(item: Item | undefined, attribute = 'revision'): number {
  return Number(item?.[attribute]?.N ?? 0)
}

function keyOf(pk: string, sk: string): Key {
  return { pk: { S: pk }, sk: { S: sk } }
}

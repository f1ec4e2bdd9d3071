import { type CallOptions, MemoryStore, type Page, type ScanQuery, type SecretHeader } from '@talos/envelope'

const textOf = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const partsOf = <T>(text: string) => JSON.parse(String(Buffer.from(text, 'base64url'))) as T
const kekIdOf = ({ wrap }: SecretHeader) => wrap.split(':')[2] ?? ''

/** A store whose shards are whatever a subclass makes of all headers, read anew for every page. */
abstract class Dividing extends MemoryStore {
  abstract divide(headers: readonly SecretHeader[], atMost: number): readonly string[]
  abstract has(shard: string, header: SecretHeader, position: number): boolean

  override async shards(atMost: number, options?: CallOptions): Promise<readonly string[]> {
    await super.shards(atMost, options)
    return this.divide(await this.#all(), atMost)
  }

  override async scan(query: ScanQuery, options?: CallOptions): Promise<Page<SecretHeader>> {
    const { cursor, limit, exceptKekId, shard } = query
    if (shard === undefined) return super.scan(query, options)
    // Refuses what is out of bounds.
    if (!/^[A-Za-z0-9_-]{1,1500}$/.test(shard)) throw new TypeError('shard: is none that this store gave')
    const items = (await this.#all())
      .filter((header, position) => this.has(shard, header, position))
      .filter((header) => kekIdOf(header) !== exceptKekId && (cursor === null || header.name > cursor))
      .slice(0, limit)
    return { items, next: items.length === limit ? (items.at(-1)?.name ?? null) : null }
  }

  async #all(): Promise<readonly SecretHeader[]> {
    const headers: SecretHeader[] = []
    for (let cursor: string | null = null; ; ) {
      const { items, next }: Page<SecretHeader> = await super.scan({ cursor, limit: 1_000 })
      headers.push(...items)
      if (next === null) return headers
      cursor = next
    }
  }
}

/** Ranges from the first to the last name that there is: what comes between two of them is in none. */
export class ClosedRanges extends Dividing {
  divide(headers: readonly SecretHeader[], atMost: number): readonly string[] {
    const size = Math.max(1, Math.ceil(headers.length / atMost))
    const ranges = []
    for (let from = 0; from < headers.length; from += size) {
      ranges.push([headers[from]?.name, headers.slice(from, from + size).at(-1)?.name])
    }
    return ranges.length === 0 ? [textOf(['', null])] : ranges.map(textOf)
  }

  has(shard: string, { name }: SecretHeader): boolean {
    const [first = '', last = null] = partsOf<[string, string | null]>(shard)
    return name >= first && (last === null || name <= last)
  }
}

/** Ranges of which each begins with the name that the one before it ends with. */
export class SharedBorders extends Dividing {
  divide(headers: readonly SecretHeader[], atMost: number): readonly string[] {
    const count = Math.max(1, Math.min(atMost, headers.length))
    const borders = Array.from({ length: count - 1 }, (_, part) => {
      return headers[Math.floor(((part + 1) * headers.length) / count)]?.name
    })
    return [...borders, null].map((border, part) => textOf([borders[part - 1] ?? '', border]))
  }

  has(shard: string, { name }: SecretHeader): boolean {
    const [first, last] = partsOf<[string, string | null]>(shard)
    return name >= first && (last === null || name <= last)
  }
}

/** Shards by place in the order of names, which moves with every record that comes or goes. */
export class ShardsByPosition extends Dividing {
  divide(_headers: readonly SecretHeader[], atMost: number): readonly string[] {
    return Array.from({ length: atMost }, (_, part) => textOf([part, atMost]))
  }

  has(shard: string, _header: SecretHeader, position: number): boolean {
    const [part, count] = partsOf<[number, number]>(shard)
    return Math.floor(position / 10) % count === part
  }
}

/** Shards by what a re-wrap changes. */
export class ShardsByWrap extends Dividing {
  divide(_headers: readonly SecretHeader[], atMost: number): readonly string[] {
    return Array.from({ length: atMost }, (_, part) => textOf([part, atMost]))
  }

  has(shard: string, { wrap }: SecretHeader): boolean {
    const [part, count] = partsOf<[number, number]>(shard)
    return Buffer.from(wrap).reduce((sum, byte) => sum + byte, 0) % count === part
  }
}

/** Writes names into shards as they are. */
export class NamesInShards extends MemoryStore {
  override async shards(atMost: number, options?: CallOptions): Promise<readonly string[]> {
    const shards = await super.shards(atMost, options)
    return shards.map((shard) =>
      JSON.stringify(shard.split('.').map((end) => String(Buffer.from(end, 'base64url')))),
    )
  }

  override async scan(query: ScanQuery, options?: CallOptions): Promise<Page<SecretHeader>> {
    if (query.shard === undefined) return super.scan(query, options)
    // What is none is refused by the store beneath.
    const [after, upTo] = query.shard.startsWith('["') ? (JSON.parse(query.shard) as string[]) : ['\0']
    const ends = [after, upTo].map((end) => Buffer.from(end ?? '').toString('base64url'))
    return super.scan({ ...query, shard: upTo === undefined ? '' : ends.join('.') }, options)
  }
}

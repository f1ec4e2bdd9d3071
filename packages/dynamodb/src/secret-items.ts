import { randomBytes } from 'node:crypto'
import { QueryCommand, type QueryCommandOutput, TransactGetItemsCommand } from '@aws-sdk/client-dynamodb'
import {
  type Page,
  type ScanQuery,
  type SecretHeader,
  type StoredSecret,
  StoreError,
  shardCount,
} from '@talos/envelope'
import { batchGet, itemAt } from './batch-get.ts'
import { cursorOf, type Lane, lanesOf, lanesOfShard, shardsOfLanes } from './cursor.ts'
import type { Deadline } from './deadline.ts'
import { INLINE_SEALED_BYTES, type Item, type Layout, SHARDS, textOf } from './layout.ts'
import type { Requests } from './requests.ts'

/** A lane is read for at least so many items, or small pages would pay for sixteen requests. */
const LEAST_LANE_ITEMS = 16
/** How often one page goes on in a lane whose records the filter leaves out. */
const LANE_REQUESTS = 4

/** As many wrap texts as a process holds for each partition. An answer of 1 MB would be some 2,500. */
const CENSUS_PAGE = 1_000

/** A shard with fewer records is not worth its lease. One partition with so many is taken for sixteen such shards. */
const RECORDS_PER_SHARD = 500

/** Reads the items of secrets. */
export class SecretItems {
  readonly #requests: Requests
  readonly #layout: Layout

  constructor(requests: Requests, layout: Layout) {
    this.#requests = requests
    this.#layout = layout
  }

  async read(names: readonly string[], deadline: Deadline): Promise<readonly (StoredSecret | null)[]> {
    const unique = [...new Set(names)]
    const headers = await this.#headers(unique, deadline)
    const sealedIds = new Map<string, string>()
    for (const [name, header] of headers) {
      const sealedId = textOf(header, 'sealedId')
      if (sealedId !== undefined) sealedIds.set(name, sealedId)
    }
    const keys = [...sealedIds.keys()].map((name) => this.#layout.sealed(name))
    const found = await batchGet(this.#requests, keys, deadline)
    const secrets = new Map<string, StoredSecret | null>()
    for (const [name, header] of headers) {
      const sealedId = sealedIds.get(name)
      const item = sealedId === undefined ? header : itemAt(found, this.#layout.sealed(name))
      // With another id the value was replaced between the two reads.
      const whole = textOf(item, 'sealedId') === sealedId
      secrets.set(name, whole ? secretOf(name, header, item) : await this.#readTogether(name, deadline))
    }
    return names.map((name) => secrets.get(name) ?? null)
  }

  /** The wrap text of each record that is there. */
  async wraps(names: readonly string[], deadline: Deadline): Promise<ReadonlyMap<string, string>> {
    const headers = await this.#headers(names, deadline, ['pk', 'sk', 'wrap'])
    return new Map([...headers].map(([name, header]) => [name, textOf(header, 'wrap') ?? '']))
  }

  async scan(query: ScanQuery, deadline: Deadline): Promise<Page<SecretHeader>> {
    const { cursor, limit, exceptKekId, shard } = query
    let waiting = cursor === null ? lanesOfShard(shard) : lanesOf(cursor)
    const except = exceptKekId === undefined ? null : `talos:v2:${exceptKekId}:`
    const items: SecretHeader[] = []
    const open: Lane[] = []
    for (let width = 1; waiting.length > 0 && items.length < limit; width *= 2) {
      const missing = limit - items.length
      const share = Math.floor(missing / LEAST_LANE_ITEMS)
      const count = Math.min(waiting.length, missing, Math.max(width, share))
      // A share of each partition, so that the writes that follow a page are spread over all of them too.
      const parts = await Promise.all(
        waiting.slice(0, count).map((lane, n) => {
          const quota = Math.floor(missing / count) + (n < missing % count ? 1 : 0)
          return this.#advance(lane, quota, except, deadline)
        }),
      )
      waiting = waiting.slice(count)
      for (const part of parts) {
        items.push(...part.items)
        if (part.lane !== null) open.push(part.lane)
      }
    }
    return { items, next: cursorOf([...waiting, ...open]) }
  }

  /** Divides the partitions, of which one stands for all: names are spread over them evenly. */
  async shards(atMost: number, deadline: Deadline): Promise<readonly string[]> {
    const { ScannedCount = 0 } = await this.#query({
      shard: 0,
      start: undefined,
      limit: RECORDS_PER_SHARD,
      attributes: 'pk',
      deadline,
    })
    return shardsOfLanes(shardCount(ScannedCount * SHARDS, RECORDS_PER_SHARD, Math.min(atMost, SHARDS)))
  }

  async census(deadline: Deadline): Promise<ReadonlyMap<string, number>> {
    const counts = new Map<string, number>()
    const countOne = async (shard: number): Promise<void> => {
      let from: Item | undefined
      do {
        const { Items = [], LastEvaluatedKey } = await this.#query({
          shard,
          start: from,
          limit: CENSUS_PAGE,
          attributes: 'wrap',
          deadline,
        })
        for (const item of Items) {
          const kekId = textOf(item, 'wrap')?.split(':', 3)[2] ?? ''
          counts.set(kekId, (counts.get(kekId) ?? 0) + 1)
        }
        from = LastEvaluatedKey
      } while (from !== undefined)
    }
    await Promise.all(Array.from({ length: SHARDS }, (_, shard) => countOne(shard)))
    return counts
  }

  /** Reads on in one partition until its share of a page is full, it ends, or enough was read in vain. */
  async #advance(
    lane: Lane,
    quota: number,
    except: string | null,
    deadline: Deadline,
  ): Promise<{ readonly items: readonly SecretHeader[]; readonly lane: Lane | null }> {
    const items: SecretHeader[] = []
    let after = lane.after
    let scanned = 0
    for (let request = 1; request <= LANE_REQUESTS; request += 1) {
      const missing = quota - items.length
      // As many as it takes at the share of stale records seen so far.
      const limit = scanned === 0 ? missing : Math.ceil((missing * scanned) / Math.max(1, items.length))
      const start =
        after === null ? undefined : { pk: { S: this.#layout.secrets(lane.shard) }, sk: { S: after } }
      const page = await this.#query({
        shard: lane.shard,
        start,
        limit,
        except,
        attributes: 'sk, wrap, meta',
        deadline,
      })
      const { Items = [], LastEvaluatedKey, ScannedCount = 0 } = page
      scanned += ScannedCount
      for (const item of Items.slice(0, missing)) items.push(headerOf(item))
      if (Items.length > missing) return { items, lane: { ...lane, after: items.at(-1)?.name ?? after } }
      if (LastEvaluatedKey === undefined) return { items, lane: null }
      after = textOf(LastEvaluatedKey, 'sk') ?? after
      if (items.length === quota) break
    }
    return { items, lane: { ...lane, after } }
  }

  #query(query: {
    readonly shard: number
    readonly start: Item | undefined
    readonly limit?: number
    readonly except?: string | null
    readonly attributes: string
    readonly deadline: Deadline
  }): Promise<QueryCommandOutput> {
    const { shard, start, limit, except = null, attributes, deadline } = query
    return this.#requests.read(
      () =>
        new QueryCommand({
          TableName: this.#requests.table,
          ConsistentRead: true,
          KeyConditionExpression: 'pk = :pk',
          ProjectionExpression: attributes,
          ExpressionAttributeValues: {
            ':pk': { S: this.#layout.secrets(shard) },
            ...(except === null ? {} : { ':except': { S: except } }),
          },
          ...(except === null ? {} : { FilterExpression: 'NOT begins_with(wrap, :except)' }),
          ...(limit === undefined ? {} : { Limit: limit }),
          ...(start === undefined ? {} : { ExclusiveStartKey: start }),
        }),
      deadline,
    )
  }

  async #headers(
    names: readonly string[],
    deadline: Deadline,
    attributes?: readonly string[],
  ): Promise<ReadonlyMap<string, Item>> {
    const keys = names.map((name) => this.#layout.secret(name))
    const found = await batchGet(this.#requests, keys, deadline, attributes)
    return new Map([...found.values()].map((item) => [textOf(item, 'sk') ?? '', item]))
  }

  /** Reads header and sealed bytes as they are at one moment. */
  async #readTogether(name: string, deadline: Deadline): Promise<StoredSecret | null> {
    const gets = [this.#layout.secret(name), this.#layout.sealed(name)].map((Key) => ({
      Get: { TableName: this.#requests.table, Key },
    }))
    const { Responses = [] } = await this.#requests.read(
      () => new TransactGetItemsCommand({ TransactItems: gets }),
      deadline,
    )
    const [header, apart] = Responses.map(({ Item }) => Item)
    if (header === undefined) return null
    const sealedId = textOf(header, 'sealedId')
    if (sealedId === undefined) return secretOf(name, header, header)
    return secretOf(name, header, textOf(apart, 'sealedId') === sealedId ? apart : undefined)
  }
}

/** Where the sealed bytes of a new value go. */
export function placeOf(sealed: Uint8Array): 'inline' | 'apart' {
  return sealed.length <= INLINE_SEALED_BYTES ? 'inline' : 'apart'
}

/** An id that binds sealed bytes in an item of their own to their header. */
export function newSealedId(): string {
  return randomBytes(9).toString('base64url')
}

function secretOf(name: string, header: Item, holder: Item | undefined): StoredSecret {
  const sealed = holder?.['sealed']?.B
  const wrap = textOf(header, 'wrap')
  const meta = textOf(header, 'meta')
  if (wrap === undefined || meta === undefined || sealed === undefined) throw damaged('a record')
  return { name, wrap, meta, sealed }
}

function headerOf(item: Item): SecretHeader {
  return {
    name: textOf(item, 'sk') ?? '',
    wrap: textOf(item, 'wrap') ?? '',
    meta: textOf(item, 'meta') ?? '',
  }
}

export function damaged(what: string): StoreError {
  return new StoreError(
    'ERR_STORE_DAMAGED',
    `${what} is not whole: some of its items are missing or older than the others, as after a restore; see docs/stores/dynamodb.md, "Restores"`,
  )
}

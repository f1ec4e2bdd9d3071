import { checkShard } from '@talos/envelope'
import { SHARDS } from './layout.ts'

/** How far the walk over one partition has come. */
export interface Lane {
  readonly shard: number
  /** The last name that was read; `null` before the first. */
  readonly after: string | null
}

const ALL = Array.from({ length: SHARDS }, (_, shard) => shard.toString(16)).join('')
const LANE = /^([0-9a-f])([A-Za-z0-9_-]*)$/

/** Divides the partitions evenly: a shard names them, one hexadecimal digit each. */
export function shardsOfLanes(count: number): readonly string[] {
  const begin = (shard: number) => Math.floor((shard * SHARDS) / count)
  return Array.from({ length: count }, (_, shard) => ALL.slice(begin(shard), begin(shard + 1)))
}

/**
 * The lanes of a scan at its start.
 *
 * @param shard - As given to `scan`; absent for all partitions.
 * @throws TypeError for what is no shard of this store.
 */
export function lanesOfShard(shard: string | undefined): readonly Lane[] {
  if (shard !== undefined) checkShard(shard)
  const digits = shard ?? ALL
  // Partitions follow each other in a shard, so that none can be in it twice.
  if (!ALL.includes(digits)) throw new TypeError('shard: is none that this store gave')
  return [...digits].map((digit) => ({ shard: Number.parseInt(digit, 16), after: null }))
}

/** Writes a cursor of visible ASCII: at most 11,000 characters, usually some 500. `null` where nothing is left to read. */
export function cursorOf(lanes: readonly Lane[]): string | null {
  if (lanes.length === 0) return null
  const texts = lanes.map(({ shard, after }) => {
    const name = after === null ? '' : Buffer.from(after).toString('base64url')
    return shard.toString(16) + name
  })
  return texts.join('.')
}

/** @throws TypeError for what is no cursor of this store. */
export function lanesOf(cursor: string): readonly Lane[] {
  const seen = new Set<number>()
  return cursor.split('.').map((text) => {
    const [, digit, name = ''] = LANE.exec(text) ?? []
    const shard = Number.parseInt(digit ?? '', 16)
    if (Number.isNaN(shard) || seen.has(shard)) throw new TypeError('cursor: is none that this store gave')
    seen.add(shard)
    return { shard, after: name === '' ? null : Buffer.from(name, 'base64url').toString() }
  })
}

import { checkShard } from './limits.ts'

/** The records whose names lie behind one name, up to another, in the order in which a store scans. */
export interface NameRange {
  /** Not part of the range itself; empty, which is before every name, for the first range. */
  readonly after: string
  /** Part of the range; `null` for the last range, which has no end. */
  readonly upTo: string | null
}

const RANGE = /^([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]*)$/

/**
 * Makes shards of ranges of names, for a store that scans in an order of names that never changes.
 *
 * @param borders - The last name of every range but the last, ascending in that order, no two alike. They need not be names
 * of records. None of them makes one shard of everything.
 * @returns One shard more than there are borders. Together they hold every name there can be, each once.
 */
export function nameShards(borders: readonly string[]): readonly string[] {
  const ends = ['', ...borders.map((border) => Buffer.from(border).toString('base64url')), '']
  return ends.slice(1).map((end, index) => `${ends[index]}.${end}`)
}

/**
 * Reads a shard that `nameShards` has made.
 *
 * @param shard - As given to `scan`; absent for everything.
 * @throws TypeError for any other text, which it never carries.
 */
export function nameRangeOf(shard: string | undefined): NameRange {
  if (shard === undefined) return { after: '', upTo: null }
  checkShard(shard)
  const [, after, upTo] = RANGE.exec(shard) ?? []
  if (after === undefined || upTo === undefined) throw new TypeError('shard: is none that this store gave')
  return { after: nameOf(after), upTo: upTo === '' ? null : nameOf(upTo) }
}

/**
 * How many shards are worth their leases and documents.
 *
 * @param records - The number of records, or an estimate.
 * @param recordsPerShard - How many of them a shard is to have at least.
 * @returns 1 to `atMost`.
 */
export function shardCount(records: number, recordsPerShard: number, atMost: number): number {
  return Math.max(1, Math.min(atMost, Math.floor(records / recordsPerShard)))
}

function nameOf(text: string): string {
  return Buffer.from(text, 'base64url').toString()
}

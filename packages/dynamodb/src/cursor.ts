import { SHARDS } from './layout.ts'

/** How far the walk over one partition has come. */
export interface Lane {
  readonly shard: number
  /** The last name that was read; `null` before the first. */
  readonly after: string | null
}

const LANE = /^([0-9a-f])([A-Za-z0-9_-]*)$/

/** The lanes of a scan at its start. */
export function firstLanes(): readonly Lane[] {
  return Array.from({ length: SHARDS }, (_, shard) => ({ shard, after: null }))
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

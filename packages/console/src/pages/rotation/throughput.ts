import type { Rotation } from '../../api/types.ts'

/** How fast a rotation was at a time. */
export interface Sample {
  /** Milliseconds since 1970, by this page's clock. */
  readonly at: number
  readonly perSecond: number
}

/** Kept while the page is open, so that another page and back does not lose the curve. */
const seen = new Map<string, { readonly samples: Sample[]; scanned: number }>()
const MOST_SAMPLES = 600
const MOST_ROTATIONS = 20
/** Two looks closer together than this are one. */
const CLOSEST_MS = 200

/** Notes how fast a rotation is now, and answers how fast it was since the page was opened. */
export function noteThroughput(rotation: Rotation, now: number): readonly Sample[] {
  const { id, per_second, stats, status } = rotation
  const known = seen.get(id) ?? { samples: [], scanned: -1 }
  const last = known.samples.at(-1)
  const isWorking = status === 'running' || known.scanned !== stats.scanned
  if (isWorking && (last === undefined || now - last.at >= CLOSEST_MS)) {
    known.samples.push({ at: now, perSecond: per_second })
    if (known.samples.length > MOST_SAMPLES) known.samples.shift()
    known.scanned = stats.scanned
  }
  seen.set(id, known)
  if (seen.size > MOST_ROTATIONS) seen.delete(seen.keys().next().value ?? '')
  return [...known.samples]
}

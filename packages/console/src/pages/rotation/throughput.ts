import type { Rotation } from '../../api/types.ts'

/** How fast a rotation was at a time. */
export interface Sample {
  /** Milliseconds since 1970, by this page's clock. */
  readonly at: number
  readonly perSecond: number
}

/** How far a rotation was at a time. */
interface Mark {
  readonly at: number
  readonly scanned: number
}

/** Kept while the page is open, so that another page and back does not lose the curve. */
const seen = new Map<string, Mark[]>()
const MOST_MARKS = 600
const MOST_ROTATIONS = 20
/** Two looks closer together than this are one. */
const CLOSEST_MS = 200
/** Progress comes in batches: over less than this it is a comb. */
const SMOOTHED_OVER_MS = 3_000

/**
 * Notes how far a rotation is now, and answers how fast it was since the page was opened. What the server says of its rate is
 * for the moment; a curve of it would begin with a peak that no secret was re-wrapped at.
 */
export function noteThroughput({ id, stats, status }: Rotation, now: number): readonly Sample[] {
  const marks = seen.get(id) ?? []
  const last = marks.at(-1)
  const isNews = last === undefined || status === 'running' || last.scanned !== stats.scanned
  if (isNews && (last === undefined || now - last.at >= CLOSEST_MS)) {
    marks.push({ at: now, scanned: stats.scanned })
    if (marks.length > MOST_MARKS) marks.shift()
  }
  seen.set(id, marks)
  if (seen.size > MOST_ROTATIONS) seen.delete(seen.keys().next().value ?? '')
  let start = 0
  return marks.slice(1).map((mark) => {
    while (mark.at - (marks[start + 1]?.at ?? mark.at) >= SMOOTHED_OVER_MS) start += 1
    const from = marks[start] ?? mark
    return { at: mark.at, perSecond: ((mark.scanned - from.scanned) * 1000) / Math.max(1, mark.at - from.at) }
  })
}

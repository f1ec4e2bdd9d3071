/** The middle of many measurements and how far they reach. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/**
 * Finds the middle value; of an even number of values, the mean of the two in the middle.
 *
 * @param values - At least one number, in any order. They are left as they are.
 * @returns The median.
 * @throws RangeError when there is no value.
 */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('There is no median of nothing.')
  const sorted = values.toSorted((left, right) => left - right)
  const upper = sorted[sorted.length >> 1] as number
  const lower = sorted[(sorted.length - 1) >> 1] as number
  return (lower + upper) / 2
}

/**
 * Finds the value that a share of all values does not exceed.
 *
 * @param values - At least one number, in any order. They are left as they are.
 * @param share - Above 0, at most 1.
 * @returns The least value for which that is so.
 * @throws RangeError when there is no value.
 */
export function percentile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new RangeError('There is no percentile of nothing.')
  const sorted = values.toSorted((left, right) => left - right)
  return sorted[Math.ceil(share * sorted.length) - 1] as number
}

/**
 * Summarises measurements.
 *
 * @param values - At least one number.
 * @returns Their median, least and greatest value.
 */
export function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}

/**
 * Divides round by round, so that what slows down a whole round slows down both sides of its ratio. The ratio
 * of two medians would compare times of different rounds.
 *
 * @param ours - For each contender on our side, one time per round. Sides of several contenders add up.
 * @param theirs - The same for the other side, from the same rounds.
 * @returns For each round, how many times as fast we are: their time by ours.
 * @throws RangeError when the sides have different numbers of rounds.
 */
export function ratiosByRound(
  ours: readonly (readonly number[])[],
  theirs: readonly (readonly number[])[],
): number[] {
  const ourSums = sumByRound(ours)
  const theirSums = sumByRound(theirs)
  if (ourSums.length !== theirSums.length) throw new RangeError('Both sides of a ratio need the same rounds.')
  return ourSums.map((time, round) => (theirSums[round] as number) / time)
}

function sumByRound(sides: readonly (readonly number[])[]): number[] {
  const [first = [], ...others] = sides
  if (others.some((other) => other.length !== first.length)) {
    throw new RangeError('All contenders of a side need the same rounds.')
  }
  return first.map((time, round) => others.reduce((sum, other) => sum + (other[round] as number), time))
}

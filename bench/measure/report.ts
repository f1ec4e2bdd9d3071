import type { Contender, Times } from './rounds.ts'
import { ratiosByRound, type Spread, spreadOf } from './statistics.ts'

/** Two sides to compare, by the names of their contenders. */
export interface Comparison {
  /** Stable: reports of different releases are compared by it. */
  readonly name: string
  readonly ours: readonly string[]
  readonly theirs: readonly string[]
  /**
   * What the ratio tells: how many times as fast our side is, or how many times the time it takes.
   *
   * @defaultValue `speed`
   */
  readonly tells?: 'speed' | 'time'
}

/** Contenders that share their rounds, and what is read from these. */
export interface Heat {
  /** What tells this heat from others of the suite. */
  readonly title: string
  readonly contenders: readonly Contender[]
  readonly comparisons: readonly Comparison[]
  /**
   * Finds out what no times of contenders tell, after they were measured.
   *
   * @param rounds - How often.
   * @returns By name one value for each time: ratios, or numbers of what the name says.
   * @defaultValue nothing
   */
  readonly figures?: (rounds: number) => Promise<Readonly<Record<string, readonly number[]>>>
}

/** What a suite found out on one Node. */
export interface Report {
  readonly suite: string
  /** The version of Node, without a `v`. */
  readonly node: string
  readonly rounds: number
  /** By name of the comparison: how many times as fast we are, or how many times the time we take. By name also figures. */
  readonly ratios: Readonly<Record<string, Spread>>
}

/**
 * Reads the comparisons of a heat from its times.
 *
 * @param comparisons - What to compare.
 * @param times - The times of all contenders they name.
 * @returns For each comparison, the spread of its ratio over the rounds.
 * @throws RangeError when a contender was not measured.
 */
export function ratiosOf(comparisons: readonly Comparison[], times: Times): Record<string, Spread> {
  const timesOf = (name: string): readonly number[] => {
    const found = times.get(name)
    if (found === undefined) throw new RangeError(`The contender ${name} was not measured.`)
    return found
  }
  return Object.fromEntries(
    comparisons.map(({ name, ours, theirs, tells }) => {
      const [slow, fast] = tells === 'time' ? [theirs, ours] : [ours, theirs]
      return [name, spreadOf(ratiosByRound(slow.map(timesOf), fast.map(timesOf)))]
    }),
  )
}

/**
 * Writes a report as one line of JSON.
 *
 * @param report - The report. Ratios are rounded to four significant digits.
 * @returns `{suite, node, rounds, ratios: {name: {median, min, max}}}`.
 */
export function reportJson({ suite, node, rounds, ratios }: Report): string {
  const rounded = Object.entries(ratios).map(([name, { median, min, max }]) => [
    name,
    { median: significant(median), min: significant(min), max: significant(max) },
  ])
  return JSON.stringify({ suite, node, rounds, ratios: Object.fromEntries(rounded) })
}

/**
 * Writes named spreads as a table for people.
 *
 * @param title - Stands above the names.
 * @param rows - The spreads and, for those that have one, a remark.
 * @returns Lines without a line break at the end.
 */
export function spreadTable(
  title: string,
  rows: readonly (readonly [name: string, spread: Spread, remark?: string])[],
): string {
  const width = Math.max(title.length, ...rows.map(([name]) => name.length))
  const line = (name: string, cells: readonly string[], remark = ''): string =>
    `${name.padEnd(width)} ${cells.map((cell) => cell.padStart(9)).join('')}  ${remark}`.trimEnd()
  const body = rows.map(([name, { median, min, max }, remark]) =>
    line(name, [median, min, max].map(readable), remark),
  )
  return [line(title, ['median', 'min', 'max']), ...body].join('\n')
}

function readable(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

function significant(value: number): number {
  return Number(value.toPrecision(4))
}

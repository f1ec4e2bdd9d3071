import type { Report } from './report.ts'

/** What a median must keep to: the least it may be, or the most. */
export type Target = number | { readonly atMost: number }

/** The targets of ratios: on every line of Node alike, or by its major version. */
export type Targets = Readonly<Record<string, Target | Readonly<Record<string, Target>>>>

/**
 * Finds the target of a ratio on one Node.
 *
 * @param targets - All targets of a suite.
 * @param name - Name of the ratio.
 * @param node - A version of Node.
 * @returns The target, or `undefined` when none is set.
 */
export function targetOf(targets: Targets, name: string, node: string): Target | undefined {
  const target = targets[name]
  if (target === undefined || isTarget(target)) return target
  return target[node.split('.')[0] ?? '']
}

/**
 * Writes a target for people.
 *
 * @param target - The target.
 * @returns Such as `at least 0.5`.
 */
export function describeTarget(target: Target): string {
  return typeof target === 'number' ? `at least ${target}` : `at most ${target.atMost}`
}

/**
 * Compares a report with its targets.
 *
 * @param report - The report.
 * @param targets - The targets of its suite.
 * @returns One sentence for each target that is missed or was not measured; none when all are met.
 */
export function missedTargets(report: Report, targets: Targets): string[] {
  return Object.keys(targets).flatMap((name) => {
    const target = targetOf(targets, name, report.node)
    const found = report.ratios[name]
    if (target === undefined) return []
    if (found === undefined) return [`${name} was not measured`]
    const met = typeof target === 'number' ? found.median >= target : found.median <= target.atMost
    if (met) return []
    return [
      `${name} is ${found.median.toFixed(3)} on Node ${report.node}, the target is ${describeTarget(target)}`,
    ]
  })
}

function isTarget(target: Target | Readonly<Record<string, Target>>): target is Target {
  return typeof target === 'number' || 'atMost' in target
}

import type { Report } from './report.ts'

/** The least median a ratio must reach: on every line of Node alike, or by its major version. */
export type Targets = Readonly<Record<string, number | Readonly<Record<string, number>>>>

/**
 * Finds the target of a ratio on one Node.
 *
 * @param targets - All targets of a suite.
 * @param name - Name of the ratio.
 * @param node - A version of Node.
 * @returns The least median, or `undefined` when none is set.
 */
export function targetOf(targets: Targets, name: string, node: string): number | undefined {
  const target = targets[name]
  return typeof target === 'object' ? target[node.split('.')[0] ?? ''] : target
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
    if (found.median >= target) return []
    return [`${name} is ${found.median.toFixed(3)} on Node ${report.node}, the target is ${target}`]
  })
}

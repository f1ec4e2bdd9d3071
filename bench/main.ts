/**
 * Runs one suite on the running Node, with `--conditions=@talos/source --expose-gc`: `bench/main.ts <suite> [--json]
 * [--check] [--rounds <n>]`. `npm run bench` does so on the lines of Node that the suite is measured on.
 */
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { CODEC_TARGETS, codecHeats } from './codec/suite.ts'
import { type Heat, type Report, ratiosOf, reportJson, spreadTable } from './measure/report.ts'
import { measureRounds, type Pace } from './measure/rounds.ts'
import { type Spread, spreadOf } from './measure/statistics.ts'
import { describeTarget, missedTargets, type Targets, targetOf } from './measure/targets.ts'
import { ROTATION_TARGETS, rotationHeats } from './rotation/suite.ts'
import { STORES_TARGETS, storesHeats } from './stores/suite.ts'

interface Suite {
  readonly heats: () => AsyncIterable<Heat>
  readonly targets: Targets
  /** Unless `--rounds` says otherwise. */
  readonly rounds: number
}

const SUITES: Readonly<Record<string, Suite>> = {
  codec: { heats: codecHeats, targets: CODEC_TARGETS, rounds: 41 },
  rotation: { heats: rotationHeats, targets: ROTATION_TARGETS, rounds: 5 },
  stores: { heats: storesHeats, targets: STORES_TARGETS, rounds: 5 },
}
const PACE = { warmUpMs: 300, batchMs: 10 }

function readArguments(): { name: string; suite: Suite; json: boolean; check: boolean; pace: Pace } {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'boolean' }, check: { type: 'boolean' }, rounds: { type: 'string' } },
  })
  const [name = ''] = positionals
  const suite = SUITES[name]
  const rounds = Number(values.rounds ?? suite?.rounds)
  if (suite === undefined || positionals.length !== 1 || !Number.isInteger(rounds) || rounds < 1) {
    console.error(
      `usage: npm run bench -- <${Object.keys(SUITES).join('|')}> [--json] [--check] [--rounds <n>]`,
    )
    process.exit(2)
  }
  return { name, suite, json: values.json === true, check: values.check === true, pace: { ...PACE, rounds } }
}

/** Young garbage only: a full collection also throws away compiled code, which the next batch would pay for. */
function collectGarbage(): void {
  globalThis.gc?.({ type: 'minor', execution: 'sync' })
}

const { name, suite, json, check, pace } = readArguments()
const ratios: Record<string, Spread> = {}
const microseconds: [string, Spread][] = []
for await (const { title, contenders, comparisons, figures } of suite.heats()) {
  const times = await measureRounds(contenders, pace, collectGarbage)
  Object.assign(ratios, ratiosOf(comparisons, times))
  for (const [contender, values] of times)
    microseconds.push([`${contender} ${title}`.trim(), spreadOf(values)])
  for (const [figure, values] of Object.entries((await figures?.(pace.rounds)) ?? {}))
    ratios[figure] = spreadOf(values)
}
const node = process.versions.node
const report: Report = { suite: name, node, rounds: pace.rounds, ratios }

if (json) {
  console.log(reportJson(report))
} else {
  const load = loadavg()[0] ?? 0
  console.log(
    `\n${name} on Node ${node}, ${pace.rounds} rounds, load average at the end ${load.toFixed(1)}\n`,
  )
  console.log(spreadTable('microseconds per value', microseconds))
  const rows = Object.entries(ratios).map(([ratio, spread]) => {
    const target = targetOf(suite.targets, ratio, node)
    return [ratio, spread, target === undefined ? '' : describeTarget(target)] as const
  })
  console.log(`\n${spreadTable('ratio', rows)}`)
}
if (check) {
  const missed = missedTargets(report, suite.targets)
  for (const sentence of missed) console.error(`missed: ${sentence}`)
  if (missed.length > 0) process.exitCode = 1
}

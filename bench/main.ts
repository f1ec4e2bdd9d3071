/**
 * Runs one suite on the running Node, with `--conditions=@talos/source --expose-gc`: `bench/main.ts codec [--json]
 * [--check] [--rounds <n>]`. `npm run bench` does so on each supported line of Node.
 */
import { parseArgs } from 'node:util'
import { CODEC_TARGETS, codecHeats } from './codec/suite.ts'
import { type Heat, type Report, ratiosOf, reportJson, spreadTable } from './measure/report.ts'
import { measureRounds, type Pace } from './measure/rounds.ts'
import { type Spread, spreadOf } from './measure/statistics.ts'
import { missedTargets, type Targets, targetOf } from './measure/targets.ts'

interface Suite {
  readonly heats: () => AsyncIterable<Heat>
  readonly targets: Targets
}

const SUITES: Readonly<Record<string, Suite>> = {
  codec: { heats: codecHeats, targets: CODEC_TARGETS },
}
const DEFAULT_ROUNDS = 41
const PACE = { warmUpMs: 300, batchMs: 10 }

function readArguments(): { name: string; suite: Suite; json: boolean; check: boolean; pace: Pace } {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'boolean' }, check: { type: 'boolean' }, rounds: { type: 'string' } },
  })
  const [name = ''] = positionals
  const suite = SUITES[name]
  const rounds = Number(values.rounds ?? DEFAULT_ROUNDS)
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
for await (const { title, contenders, comparisons } of suite.heats()) {
  const times = await measureRounds(contenders, pace, collectGarbage)
  Object.assign(ratios, ratiosOf(comparisons, times))
  for (const [contender, values] of times) microseconds.push([`${contender} ${title}`, spreadOf(values)])
}
const node = process.versions.node
const report: Report = { suite: name, node, rounds: pace.rounds, ratios }

if (json) {
  console.log(reportJson(report))
} else {
  console.log(`\n${name} on Node ${node}, ${pace.rounds} rounds\n`)
  console.log(spreadTable('microseconds per value', microseconds))
  const rows = Object.entries(ratios).map(([ratio, spread]) => {
    const target = targetOf(suite.targets, ratio, node)
    return [ratio, spread, target === undefined ? '' : `at least ${target}`] as const
  })
  console.log(`\n${spreadTable('times as fast as the other side', rows)}`)
}
if (check) {
  const missed = missedTargets(report, suite.targets)
  for (const sentence of missed) console.error(`missed: ${sentence}`)
  if (missed.length > 0) process.exitCode = 1
}

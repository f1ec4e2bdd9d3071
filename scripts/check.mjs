/**
 * Runs the gates, all of them or the named ones: `npm run check`, `node scripts/run.mjs check types promises`.
 * Every gate runs even after another one failed, so that one run shows everything there is to mend.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PACKAGES } from './packing.mjs'
import { root, windows } from './tools.mjs'

function run(command, ...args) {
  const ended = spawnSync(command, args, { cwd: root, stdio: 'inherit', shell: windows })
  if (ended.error) console.error(`cannot run ${command}: ${ended.error.message}`)
  return ended.status === 0
}

/** All packages must be released together, and a change without a changeset would not be released. */
function checkChangesets() {
  const { fixed } = JSON.parse(readFileSync(join(root, '.changeset/config.json'), 'utf8'))
  const names = PACKAGES.map(
    (path) => JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8')).name,
  )
  const missing = names.filter((name) => !fixed.flat().includes(name))
  for (const name of missing) console.error(`.changeset/config.json: ${name} is missing in "fixed"`)
  // A checkout of one commit, or of no repository, knows no main to compare with.
  const comparable = spawnSync('git', ['merge-base', 'HEAD', 'main'], { cwd: root }).status === 0
  if (!comparable) console.log('no main branch here: changes were not compared with changesets')
  return (!comparable || run('changeset', 'status')) && missing.length === 0
}

/** How much of the core its own tests reach. The two that try inputs by the hundred thousand reach nothing the others do not. */
function checkCoverage() {
  const heavy = ['**/fuzz.test.ts', '**/tampering.test.ts'].map((glob) => `--exclude=${glob}`)
  return run(
    'vitest',
    'run',
    'packages/envelope/test',
    ...heavy,
    '--silent',
    '--reporter=minimal',
    '--coverage',
    '--coverage.include=packages/envelope/src/**/*.ts',
    '--coverage.reporter=text-summary',
    '--coverage.reportsDirectory=node_modules/.cache/core-coverage',
    '--coverage.thresholds.lines=95',
    '--coverage.thresholds.branches=90',
  )
}

const GATES = {
  format: () => run('biome', 'check', '--error-on-warnings', '.'),
  types: () => [run('tsc', '-p', '.'), run('tsc', '--noEmit', '-p', 'packages/console')].every(Boolean),
  dependencies: () => run('node', 'scripts/check-dependencies.mjs'),
  promises: () => run('oxlint', '--type-aware'),
  unused: () => run('knip', '--no-config-hints'),
  errors: () => run('node', 'scripts/errors-reference.mjs', '--check'),
  safe: () => run('node', 'scripts/safe-reference.mjs', '--check'),
  coverage: checkCoverage,
  docs: () => run('typedoc'),
  build: () => run('pnpm', '--filter=./packages/*', '--reporter=append-only', 'run', 'build'),
  api: () => run('node', 'scripts/api-report.mjs'),
  packages: () => run('node', 'scripts/check-packages.mjs'),
  install: () => run('node', 'scripts/package-matrix.mjs'),
  changesets: checkChangesets,
}

const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(GATES)
const unknown = wanted.filter((name) => !(name in GATES))
if (unknown.length > 0) {
  console.error(`no such gate: ${unknown.join(', ')}; there are ${Object.keys(GATES).join(', ')}`)
  process.exit(1)
}
const results = wanted.map((name) => {
  console.log(`\n> ${name}`)
  const startedAt = performance.now()
  const ok = GATES[name]()
  return { name, ok, seconds: ((performance.now() - startedAt) / 1000).toFixed(1) }
})
console.log()
for (const { name, ok, seconds } of results) console.log(`${ok ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`)
process.exitCode = results.every(({ ok }) => ok) ? 0 : 1

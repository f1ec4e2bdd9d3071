/**
 * Checks which file may import what, and that engine code reaches the world through the injected runtime only.
 *
 *     node scripts/check-dependencies.mjs [root]
 *
 * The tables below are the rule. Imports of types count: a type of an upper layer is knowledge of it.
 */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, posix, resolve } from 'node:path'
import ts from 'typescript'

const CORE = 'packages/envelope/src/'

/** Folder of the core → folders it may import besides itself. Every part may import what `base` is made of. */
const CORE_PARTS = {
  crypto: [],
  format: [],
  store: ['format'],
  keyring: ['crypto', 'format'],
  codec: ['format', 'keyring', 'crypto'],
  lifecycle: ['format', 'keyring', 'codec', 'store'],
  rotation: ['format', 'keyring', 'codec', 'store', 'lifecycle'],
  vault: ['crypto', 'format', 'store', 'keyring', 'codec', 'lifecycle', 'rotation'],
  testing: ['crypto', 'format', 'store', 'keyring', 'codec', 'lifecycle', 'rotation', 'vault'],
  index: ['crypto', 'format', 'store', 'keyring', 'codec', 'lifecycle', 'rotation', 'vault'],
}
/** Files beside the folders; they import nothing at all. */
const BASE = ['bytes.ts', 'errors.ts', 'events.ts', 'runtime.ts']

/** What the core may import from Node, by the path of the importing file below the core's `src/`. */
const CORE_NODE_MODULES = [
  { files: /^/, modules: ['node:util'] },
  { files: /^crypto\//, modules: ['node:crypto'] },
  { files: /^keyring\//, modules: ['node:fs', 'node:fs/promises', 'node:process'] },
  { files: /^vault\/system-runtime\.ts$/, modules: 'any' },
]

/** Code a simulator must be able to run under its own clock, and the globals that would escape it. */
const ENGINE = /^(rotation\/|lifecycle\/|vault\/(?!system-runtime\.ts$))/
const WORLD = new Set([
  'Date',
  'clearImmediate',
  'clearInterval',
  'clearTimeout',
  'crypto',
  'fetch',
  'global',
  'globalThis',
  'performance',
  'process',
  'queueMicrotask',
  'setImmediate',
  'setInterval',
  'setTimeout',
])
const WORLD_MEMBERS = new Set(['AbortSignal.timeout', 'Math.random'])

const KIT = 'packages/conformance/'
const KIT_MODULES = ['@talos/envelope', '@talos/envelope-conformance']

/** The console is a part of the admin API that is built apart; it takes the shapes of answers from there. */
const CONSOLE = { folder: 'packages/console/', may: 'packages/express/src/schemas/' }

const HANDLERS = 'packages/express/src/handlers/'
const HANDLER_MODULES = ['zod', '@talos/envelope']

/** Where a statement or expression names another module: `import`, `export … from`, `import()`, `import('x').T`. */
function moduleSpecifier(node) {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
    return node.arguments[0]
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) return node.argument.literal
  return undefined
}

/** Tells whether an identifier stands for a variable, and not for the name of a property or for a type. */
function namesVariable(node) {
  const { parent } = node
  if (ts.isPartOfTypeNode(node)) return false
  if (ts.isPropertyAccessExpression(parent) || ts.isMetaProperty(parent)) return parent.name !== node
  if (ts.isBindingElement(parent) && parent.propertyName === node) return false
  if (ts.isImportSpecifier(parent) || ts.isExportSpecifier(parent)) return false
  const isNamedMember =
    ts.isPropertyAssignment(parent) || ts.isClassElement(parent) || ts.isTypeElement(parent)
  return !(isNamedMember && parent.name === node)
}

function readSource(root, file) {
  const source = ts.createSourceFile(
    file,
    readFileSync(join(root, file), 'utf8'),
    ts.ScriptTarget.Latest,
    true,
  )
  const lineOf = (node) => source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1
  const imports = []
  const worldUses = []
  const visit = (node) => {
    const specifier = moduleSpecifier(node)
    if (specifier !== undefined) {
      const name = ts.isStringLiteralLike(specifier) ? specifier.text : undefined
      imports.push({ name, line: lineOf(node) })
    }
    if (ts.isIdentifier(node) && WORLD.has(node.text) && namesVariable(node)) {
      worldUses.push({ name: node.text, line: lineOf(node) })
    }
    if (ts.isPropertyAccessExpression(node) && WORLD_MEMBERS.has(node.getText(source))) {
      worldUses.push({ name: node.getText(source), line: lineOf(node) })
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  const onlyReExports = source.statements.every(
    (statement) =>
      ts.isExportDeclaration(statement) &&
      statement.exportClause &&
      ts.isNamedExports(statement.exportClause),
  )
  return { imports, worldUses, onlyReExports }
}

function partOf(path) {
  if (BASE.includes(path)) return 'base'
  const part = path.includes('/') ? path.slice(0, path.indexOf('/')) : path.replace(/\.ts$/, '')
  return part in CORE_PARTS ? part : undefined
}

function checkCoreImport(path, name, target) {
  const part = partOf(path)
  if (target !== undefined) {
    if (!target.startsWith(CORE)) return 'the core imports its own files and nothing else'
    const wanted = partOf(target.slice(CORE.length))
    if (part === 'base') return `${BASE.join(', ')} import nothing`
    if (wanted === 'base' || wanted === part || CORE_PARTS[part].includes(wanted)) return undefined
    return `${part} may import ${[...BASE.map((file) => file.replace('.ts', '')), ...CORE_PARTS[part]].join(', ')}; not ${wanted}`
  }
  if (!name.startsWith('node:')) return '@talos/envelope has no runtime dependency'
  const allowed = CORE_NODE_MODULES.some(
    ({ files, modules }) => files.test(path) && (modules === 'any' || modules.includes(name)),
  )
  if (allowed && part !== 'base') return undefined
  return (
    'node: modules belong into crypto (node:crypto), keyring (node:fs, node:process) and vault/system-runtime.ts; ' +
    'everything above bytes, errors, events and runtime may use node:util'
  )
}

/** Adapters, tests and examples; only the last two may know an adapter. */
function checkPackageImport(file, name, target, coreEntries) {
  const [parent, folder, kind] = file.split('/')
  const own = `${parent}/${folder}/`
  if (target !== undefined) {
    if (file.startsWith(CONSOLE.folder) && target.startsWith(CONSOLE.may)) return undefined
    if (target.startsWith(own) || !/^packages\/[^/]+\/src\//.test(target)) return undefined
    return 'a package is reached by its name and public entry points only'
  }
  if (file.startsWith(KIT)) return checkKitImport(kind, name)
  if (parent !== 'packages' || kind !== 'src' || !name.startsWith('@talos/') || coreEntries.includes(name))
    return undefined
  return `packages import the public entry points of the core only: ${coreEntries.join(', ')}`
}

/** The kit judges every adapter, and so knows none; a test runner inside would be everybody's. */
function checkKitImport(kind, name) {
  if (KIT_MODULES.includes(name)) return undefined
  if (kind === 'src') {
    if (/^node:(?!test\b|sqlite$)/.test(name)) return undefined
    return `the conformance kit imports ${KIT_MODULES[0]}, modules of Node and nothing else, and no test runner`
  }
  return name.startsWith('@talos/')
    ? 'the conformance kit knows no adapter, not even in its tests'
    : undefined
}

/** Express may not be reached from a handler through another file of the package either. */
function checkHandlers(root, files) {
  const faults = []
  const seen = new Set()
  const visit = (file) => {
    if (seen.has(file)) return
    seen.add(file)
    for (const { name, line } of readSource(root, file).imports) {
      if (name?.startsWith('.')) {
        const target = posix.join(posix.dirname(file), name)
        if (existsSync(join(root, target)) && target.startsWith('packages/express/src/')) visit(target)
      } else if (!HANDLER_MODULES.includes(name)) {
        const where = file.startsWith(HANDLERS)
          ? 'handlers import'
          : 'this file is imported by a handler, and handlers reach'
        faults.push(`${file}:${line} imports ${name}: ${where} ${HANDLER_MODULES.join(' and ')} only`)
      }
    }
  }
  for (const file of files) if (file.startsWith(HANDLERS)) visit(file)
  return faults
}

function checkFile(root, file, coreEntries) {
  const faults = []
  const fault = (line, text) => faults.push(`${file}:${line} ${text}`)
  const { imports, worldUses, onlyReExports } = readSource(root, file)
  const corePath = file.startsWith(CORE) ? file.slice(CORE.length) : undefined
  if (corePath !== undefined && partOf(corePath) === undefined) {
    fault(
      1,
      `has no place in the direction rule: move it into a folder, or add it to ${posix.basename(import.meta.filename)}`,
    )
    return faults
  }
  for (const { name, line } of imports) {
    if (name === undefined) {
      fault(line, 'imports a computed module name, which no rule can be checked for')
      continue
    }
    const target = name.startsWith('.') ? posix.join(posix.dirname(file), name) : undefined
    const problem =
      corePath === undefined
        ? checkPackageImport(file, name, target, coreEntries)
        : checkCoreImport(corePath, name, target)
    if (problem !== undefined) fault(line, `imports ${name}: ${problem}`)
  }
  if (corePath !== undefined && ENGINE.test(corePath)) {
    for (const { name, line } of worldUses) {
      fault(
        line,
        `uses ${name}: engine code reaches clocks, timers and randomness through the injected runtime only`,
      )
    }
  }
  if (/^packages\/[^/]+\/src\/index\.ts$/.test(file) && !onlyReExports) {
    fault(1, 'index.ts holds named re-exports only')
  }
  return faults
}

function publicEntries(root) {
  const manifest = join(root, 'packages/envelope/package.json')
  if (!existsSync(manifest)) return ['@talos/envelope']
  const { name, exports } = JSON.parse(readFileSync(manifest, 'utf8'))
  return Object.keys(exports).map((entry) => posix.join(name, entry))
}

const root = resolve(process.argv[2] ?? dirname(import.meta.dirname))
const files = globSync(['packages/*/{src,test}/**/*.{ts,tsx}', 'examples/**/*.ts', 'bench/**/*.ts'], {
  cwd: root,
  exclude: (name) => name === 'node_modules',
})
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => !file.endsWith('.d.ts'))
  .sort()
const coreEntries = publicEntries(root)
const faults = [...files.flatMap((file) => checkFile(root, file, coreEntries)), ...checkHandlers(root, files)]
for (const fault of faults) console.error(fault)
console.log(`dependency rule: ${files.length} files, ${faults.length} violations`)
process.exitCode = faults.length > 0 ? 1 : 0

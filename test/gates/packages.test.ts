import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { runGate, temporaryTree } from './temporary-tree.ts'

type Files = Readonly<Record<string, string>>

const manifest = {
  name: '@talos/envelope',
  version: '1.0.0',
  type: 'module',
  license: 'Apache-2.0',
  engines: { node: '>=22.13' },
  exports: { '.': { types: './dist/index.d.ts', default: './dist/index.js' } },
}
const sound: Files = {
  'README.md': '# A package\n',
  LICENSE: 'Apache License\n',
  'dist/index.js': `import { inspect } from 'node:util'\nexport const load = async () => { await inspect(1) }\n`,
  'dist/index.d.ts': 'export declare const load: () => Promise<void>\n',
  'vectors/v2.json': '{}\n',
}

/** Packs a package as npm does, below `package/`, and looks at it. */
function check(changes: object, files: Files): { ok: boolean; output: string } {
  const packed = { 'package.json': JSON.stringify({ ...manifest, ...changes }), ...files }
  const tree = temporaryTree(
    Object.fromEntries(Object.entries(packed).map(([path, text]) => [`package/${path}`, text])),
  )
  try {
    const tarball = join(tree.root, 'package.tgz')
    const ended = spawnSync('tar', ['-czf', tarball, '-C', tree.root, 'package'])
    if (ended.status !== 0) throw new Error(String(ended.error ?? ended.stderr))
    return runGate('scripts/check-packages.mjs', [tarball], tree.root)
  } finally {
    tree.remove()
  }
}

test('a sound package is accepted, and what it weighs is printed', () => {
  const { ok, output } = check({}, sound)
  expect(output).toContain('code and types 0.2 of 112 KiB: 0.1 and 0.1')
  expect(output).toContain('vectors 0.0 of 40 KiB')
  expect(output).toContain('1 packed, 0 faults')
  expect(ok).toBe(true)
}, 60_000)

describe('a package is refused', () => {
  const { LICENSE: _, ...unlicensed } = sound
  const { ok, output } = check(
    {
      type: 'commonjs',
      license: undefined,
      engines: {},
      scripts: { postinstall: 'node dist/index.js' },
      dependencies: { '@talos/other': 'workspace:*' },
      exports: {
        '.': { '@talos/source': './src/index.ts', types: './dist/index.d.ts', default: './dist/index.js' },
        './gone': { types: './dist/gone.d.ts', default: './dist/gone.js' },
      },
    },
    {
      ...unlicensed,
      'dist/index.js.map': '{}',
      'dist/index.js': [
        `import 'left-pad'`,
        `export const lazy = () => import('lodash')`,
        `async function* each() { for await (const x of []) yield x }`,
        `export const loaded = await lazy()`,
        '//# sourceMappingURL=index.js.map',
      ].join('\n'),
      'dist/loop.js': 'for await (const x of []) x()\n',
      'dist/using.js': 'await using x = null\n',
      'dist/index.d.ts': `export declare const z: import('zod').ZodType\n`,
      'dist/large.js': `export const noise = '${randomBytes(114 * 1024).toString('base64')}'\n`,
      'vectors/v2.json': JSON.stringify('0'.repeat(40 * 1024)),
    },
  )

  test.each([
    'package.json still says @talos/source',
    'package.json still says workspace:',
    'package.json has another type than "module"',
    'package.json names no license',
    'package.json names no lowest Node in engines',
    'package.json runs a script at postinstall',
    'package.json exports . under @talos/source, types, default instead of types, default',
    'package.json exports ./src/index.ts, which is not packed',
    'package.json exports ./dist/gone.js, which is not packed',
    'package.json has dependencies, and this package has none: @talos/other',
    'LICENSE is not packed',
    'dist/index.js.map is packed, but is no part of what is published',
    'dist/index.js names a source map, and none is packed',
    'dist/index.js:4 waits at the top level, so that require() cannot load it',
    'dist/loop.js:1 waits at the top level',
    'dist/using.js:1 waits at the top level',
    'dist/index.js imports left-pad, which is not declared',
    'dist/index.js imports lodash, which is not declared',
    'dist/index.d.ts imports zod, which is not declared',
    'over the budget of 112 KiB',
    'vectors weigh 40.0 KiB, over the budget of 40 KiB',
    'publint finds faults',
    'attw finds faults',
  ])('for: %s', (fault) => {
    expect(output).toContain(fault)
  })

  test('with a failing exit code', () => {
    expect(ok).toBe(false)
  })
})

test('a core without its vectors is refused', () => {
  const { 'vectors/v2.json': _, ...withoutVectors } = sound
  const { ok, output } = check({}, withoutVectors)
  expect(output).toContain('no vectors are packed')
  expect(ok).toBe(false)
}, 60_000)

test('a package without a budget is refused', () => {
  const { ok, output } = check({ name: '@talos/envelope-new' }, sound)
  expect(output).toContain('the package has no budget')
  expect(ok).toBe(false)
}, 60_000)

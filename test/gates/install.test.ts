import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runGate, temporaryTree } from './temporary-tree.ts'

const load = `import { answer } from '@talos/answer'\n`
const say = `if (answer === 42) console.log('all of it works')\n`

/** Installs a package whose only export is given, and runs a program that needs it to be 42. */
function install(code: string, types: string): { ok: boolean; output: string } {
  const tree = temporaryTree({
    'package/package.json': JSON.stringify({
      name: '@talos/answer',
      version: '1.0.0',
      type: 'module',
      exports: { types: './index.d.ts', default: './index.js' },
    }),
    'package/index.js': code,
    'package/index.d.ts': types,
    'consumer/module.mts': load + say,
    'consumer/plain.ts': load + say,
    'consumer/require.cts': `import { answer } from '@talos/answer'\n${say}`,
  })
  try {
    const tarball = join(tree.root, 'package.tgz')
    const ended = spawnSync('tar', ['-czf', tarball, '-C', tree.root, 'package'])
    if (ended.status !== 0) throw new Error(String(ended.error ?? ended.stderr))
    const args = ['--consumer', join(tree.root, 'consumer'), '--node', process.versions.node, tarball]
    return runGate('scripts/package-matrix.mjs', args, tree.root)
  } finally {
    tree.remove()
  }
}

const types = 'export declare const answer: number\n'

test('a package that works installed, but not bundled, is refused', () => {
  const { ok, output } = install(
    `export const answer = import.meta.filename.endsWith('index.js') ? 42 : 0\n`,
    types,
  )
  expect(output).toContain('ESM bundle, failed')
  expect(output).toContain('import, require(), import as require(), ESM bundle, CommonJS bundle: 2 failed')
  expect(ok).toBe(false)
}, 60_000)

test('types that do not compile are refused, although skipLibCheck would let them pass', () => {
  const { ok, output } = install(
    'export const answer = 42\n',
    `${types}export declare const other: Missing\n`,
  )
  expect(output).toContain('the packed types do not compile')
  expect(output).toContain(`Cannot find name 'Missing'`)
  expect(ok).toBe(false)
}, 60_000)

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runGate, temporaryTree } from './temporary-tree.ts'

const PUT = 'export declare function put(name: string): void\n'

function workspace() {
  const exports = {
    '.': { '@talos/source': './src/index.ts', types: './dist/index.d.ts' },
    './testing': { types: './dist/testing.d.ts' },
  }
  const tree = temporaryTree({
    'packages/envelope/package.json': JSON.stringify({ name: '@talos/envelope', version: '1.0.0', exports }),
    'packages/envelope/dist/index.d.ts': PUT,
    'packages/envelope/dist/testing.d.ts': 'export declare const clock: number\n',
    'node_modules/@types/node/index.d.ts': '',
  })
  return {
    ...tree,
    path: (file: string) => join(tree.root, file),
    compare: (...options: string[]) => runGate('scripts/api-report.mjs', [tree.root, ...options], tree.root),
  }
}

test('a change of the API is refused and shown until it is accepted', () => {
  const { path, compare, remove } = workspace()
  try {
    expect(compare('--update').ok).toBe(true)
    expect(readFileSync(path('etc/envelope.api.md'), 'utf8')).toContain('put(name: string): void')

    writeFileSync(path('packages/envelope/dist/index.d.ts'), PUT.replace('name', 'name: string, value'))
    rmSync(path('etc/envelope-testing.api.md'))
    writeFileSync(path('etc/envelope-old.api.md'), '')
    const { ok, output } = compare()
    expect(output).toContain('+export function put(name: string, value: string): void')
    expect(output).toContain('etc/envelope.api.md is not what the package exports')
    expect(output).toContain('etc/envelope-testing.api.md is not what the package exports')
    expect(output).toContain('etc/envelope-old.api.md is about an entry point that is no more')
    expect(output).toContain('npm run api -- --update')
    expect(ok).toBe(false)

    expect(compare('--update').ok).toBe(true)
    expect(existsSync(path('etc/envelope-old.api.md'))).toBe(false)
    const declarations = path('packages/envelope/dist/index.d.ts')
    writeFileSync(declarations, `/** A comment is no change. */ ${readFileSync(declarations, 'utf8')}`)
    expect(compare()).toMatchObject({ ok: true })
  } finally {
    remove()
  }
}, 120_000)

test('declarations that were not built are asked for', () => {
  const { path, compare, remove } = workspace()
  try {
    rmSync(path('packages/envelope/dist'), { recursive: true })
    const { ok, output } = compare()
    expect(output).toContain('run npm run build')
    expect(ok).toBe(false)
  } finally {
    remove()
  }
}, 120_000)

import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { repository, runGate, temporaryTree } from './temporary-tree.ts'

function biome(files: Readonly<Record<string, string>>): { ok: boolean; output: string } {
  const tree = temporaryTree(files)
  try {
    copyFileSync(join(repository, 'biome.json'), join(tree.root, 'biome.json'))
    return runGate('biome', ['check', '--error-on-warnings', '--vcs-enabled=false', '.'], tree.root)
  } finally {
    tree.remove()
  }
}

function oxlint(source: string): { ok: boolean; output: string } {
  const tree = temporaryTree({ 'src/a.ts': source, 'tsconfig.json': '{ "include": ["src"] }' })
  try {
    copyFileSync(join(repository, '.oxlintrc.json'), join(tree.root, '.oxlintrc.json'))
    return runGate('oxlint', ['--type-aware'], tree.root)
  } finally {
    tree.remove()
  }
}

const source = 'packages/a/src/a.ts'

test('sources in the house look are accepted', () => {
  const { ok, output } = biome({ [source]: `import { b } from './b.ts'\n\nexport const a = [b, 'x']\n` })
  expect(output).toContain('Checked')
  expect(ok).toBe(true)
})

test.each<[string, string, string]>([
  ['double quotes', 'export const a = "x"\n', 'format'],
  ['semicolons', `export const a = 'x';\n`, 'format'],
  ['a line of 111 characters', `export const a = ['${'x'.repeat(50)}', '${'y'.repeat(36)}']\n`, 'format'],
  ['export *', `export * from './b.ts'\n`, 'noReExportAll'],
  ['console', `console.log('x')\n`, 'noConsole'],
  ['a value import of a type', `import { B } from './b.ts'\n\nexport type A = B\n`, 'useImportType'],
  ['an unused import', `import { b } from './b.ts'\n\nexport const a = 1\n`, 'noUnusedImports'],
])('%s fails the lint', (_what, text, rule) => {
  const { ok, output } = biome({ [source]: text })
  expect(output).toContain(rule)
  expect(ok).toBe(false)
})

test('an import cycle fails the lint', () => {
  const { ok, output } = biome({
    'packages/a/src/a.ts': `import { b } from './b.ts'\n\nexport const a = () => b\n`,
    'packages/a/src/b.ts': `import { a } from './a.ts'\n\nexport const b = () => a\n`,
  })
  expect(output).toContain('noImportCycles')
  expect(ok).toBe(false)
})

test('a promise nobody waits for fails the lint', () => {
  const { ok, output } = oxlint('async function save() {}\nexport function close() {\n  save()\n}\n')
  expect(output).toContain('no-floating-promises')
  expect(ok).toBe(false)
})

test('a promise that is awaited, returned or explicitly dropped is accepted', () => {
  const { ok, output } = oxlint(
    'async function save() {}\nexport async function close() {\n  await save()\n  void save()\n  return save()\n}\n',
  )
  expect(output).toContain('0 errors')
  expect(ok).toBe(true)
})

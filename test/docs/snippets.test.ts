import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { type Fence, fencesOf, markdownFiles, repository } from './markdown.ts'
import { workspaceTree } from './workspace-tree.ts'

/** What a snippet without imports may take for granted: it is a piece of a program that has all this. */
const SURROUNDINGS = [
  `import * as core from '@talos/envelope'`,
  `import type { SecretStore, SecretVault } from '@talos/envelope'`,
  `import { adminRouter, bearerAuth, Problem } from '@talos/envelope-express'`,
  `import { openSqliteDatabase, sqliteStore } from '@talos/envelope-sqlite'`,
  `import express from 'express'`,
  'const { createCodec, environmentKeys, explicitKeys, isEnvelopeError, MemoryStore, openVault } = core',
  'declare const app: express.Express, store: SecretStore, vault: SecretVault',
  'declare function session(request: unknown): Promise<{ readonly email: string; readonly groups: readonly string[] } | null>',
].join('; ')

/**
 * Type-checks snippets as programs of the workspace.
 *
 * @returns One line for each error: the file and line of the Markdown, and what the compiler says.
 */
function typeErrors(snippets: readonly Fence[]): string[] {
  const places = new Map<string, Fence>()
  for (const [index, snippet] of snippets.entries()) {
    // Programs of one guide that name themselves may import each other.
    const [, name] = /^\/\/ (\S+\.ts)\n/.exec(snippet.text) ?? []
    const own = `${snippet.file.replaceAll('/', '-')}/${name}`
    places.set(name === undefined || places.has(own) ? `snippet-${index}.ts` : own, snippet)
  }
  const sources = [...places].map(([place, { text }]) => {
    const isWhole = /^import /m.test(text)
    return [place, isWhole ? text : `${SURROUNDINGS}; ${text}`] as const
  })
  const compilerOptions = { types: ['node'], noPropertyAccessFromIndexSignature: false }
  const tree = workspaceTree({
    ...Object.fromEntries(sources),
    'tsconfig.json': JSON.stringify({
      extends: join(repository, 'tsconfig.base.json'),
      compilerOptions,
      include: ['**/*.ts'],
    }),
  })
  try {
    const tsc = join(repository, 'node_modules/.bin/tsc')
    const ended = spawnSync(tsc, ['-p', tree.root, '--pretty', 'false'], { cwd: tree.root, encoding: 'utf8' })
    if (ended.error) throw ended.error
    return errorsOf(ended.stdout, places)
  } finally {
    tree.remove()
  }
}

/** Errors of the sources themselves are left to the gate `types`. */
function errorsOf(printed: string, places: ReadonlyMap<string, Fence>): string[] {
  return printed.split('\n').flatMap((line) => {
    const [, place = '', row, message] = /^(\S+\.ts)\((\d+),\d+\): error (.*)$/.exec(line) ?? []
    const snippet = places.get(place)
    return snippet === undefined ? [] : [`${snippet.file}:${snippet.line + Number(row) - 1} ${message}`]
  })
}

const snippets = markdownFiles()
  .flatMap((file) => fencesOf(file))
  .filter(({ language }) => language === 'ts')
const wrong: Fence = {
  file: 'wrong.md',
  line: 10,
  language: 'ts',
  text: 'const vault2 = await openVault({ store })\nvault2.put(1)\n',
  headings: [],
}
let errors: readonly string[] = []

// One run of the compiler for all.
beforeAll(() => {
  errors = typeErrors([...snippets, wrong])
}, 60_000)

test('the README, the packages and the guides have snippets in TypeScript', () => {
  const files = new Set(snippets.map(({ file }) => file))
  for (const file of ['README.md', 'packages/envelope/README.md', 'docs/guide/quickstart.md']) {
    expect(files).toContain(file)
  }
})

test('every snippet in TypeScript compiles under the rules of the sources', () => {
  expect(errors.filter((error) => !error.startsWith('wrong.md'))).toEqual([])
})

test('a snippet that does not compile is named with its file and line', () => {
  const found = errors.filter((error) => error.startsWith('wrong.md'))
  expect(found.map((error) => error.split(' ')[0])).toEqual(['wrong.md:10', 'wrong.md:11'])
})

import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { STORE_CHECKS } from '@talos/envelope-conformance'
import { expect, onTestFinished, test } from 'vitest'
import { fencesOf, readMarkdown } from './markdown.ts'
import { workspaceTree } from './workspace-tree.ts'

const GUIDE = 'docs/guide/write-an-adapter.md'
const programs = fencesOf(GUIDE).flatMap(({ language, text }) => {
  const [, file] = /^\/\/ (\S+\.ts)\n/.exec(text) ?? []
  return language === 'ts' && file !== undefined ? [{ file, text }] : []
})

async function runTests(folder: string, file: string): Promise<string> {
  const args = ['--conditions=@talos/source', '--test', '--test-reporter=tap', file]
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: folder }).catch(
    (failed: { stdout: string }) => failed,
  )
  return stdout
}

test('the smallest store, copied from the guide, passes every check by the five lines beneath it', async () => {
  const tree = workspaceTree({})
  onTestFinished(tree.remove)
  expect(programs.map(({ file }) => file)).toEqual([
    'small-store.ts',
    'small-store.test.ts',
    'small-shards.ts',
  ])
  for (const { file, text } of programs) writeFileSync(join(tree.root, file), text)
  const stdout = await runTests(tree.root, 'small-store.test.ts')
  expect(stdout.match(/^ *not ok .*$/gm) ?? []).toEqual([])
  const asked = STORE_CHECKS.filter(({ needs, method }) => needs === undefined && method === undefined)
  expect(stdout).toMatch(/ - \[SHARD-1\.0\] has no method shards/)
  expect(stdout).toContain(`# pass ${asked.length + 1}\n`)
}, 120_000)

test('the same store with the shards of the guide passes every check of them as well', async () => {
  const tree = workspaceTree({})
  onTestFinished(tree.remove)
  for (const { file, text } of programs) {
    const dividing = text
      .replace('store: smallStore(database)', 'store: withShards(smallStore(database), database)')
      .replace("[...hooks, 'shards']", 'hooks')
    const imported = file.endsWith('.test.ts') ? `import { withShards } from './small-shards.ts'\n` : ''
    writeFileSync(join(tree.root, file), imported + dividing)
  }
  const stdout = await runTests(tree.root, 'small-store.test.ts')
  expect(stdout.match(/^ *not ok .*$/gm) ?? []).toEqual([])
  expect(stdout).toContain(`# pass ${STORE_CHECKS.filter(({ needs }) => needs === undefined).length}\n`)
}, 120_000)

test('the guide has every clause in its table, and every hook', () => {
  const rows = [...readMarkdown(GUIDE).matchAll(/^\| `([^`]+)` \|/gm)].map(([, id]) => id)
  const hooks = new Set(STORE_CHECKS.flatMap(({ needs }) => needs ?? []))
  const clauses = new Set(STORE_CHECKS.map(({ clause }) => clause))
  expect(rows.toSorted()).toEqual([...clauses, ...hooks, 'advance'].toSorted())
})

test('the README of the kit counts the checks and clauses that there are', () => {
  const clauses = new Set(STORE_CHECKS.map(({ clause }) => clause)).size
  expect(readMarkdown('packages/conformance/README.md')).toContain(
    `${STORE_CHECKS.length} checks of ${clauses} numbered clauses`,
  )
})

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

test('the smallest store, copied from the guide, passes every check by the five lines beneath it', async () => {
  const tree = workspaceTree({})
  onTestFinished(tree.remove)
  expect(programs.map(({ file }) => file)).toEqual(['small-store.ts', 'small-store.test.ts'])
  for (const { file, text } of programs) writeFileSync(join(tree.root, file), text)
  const args = ['--conditions=@talos/source', '--test', '--test-reporter=tap', 'small-store.test.ts']
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: tree.root }).catch(
    (failed: { stdout: string }) => failed,
  )
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

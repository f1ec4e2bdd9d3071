import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fencesOf, readMarkdown, repository } from './markdown.ts'
import { workspaceTree } from './workspace-tree.ts'

const [program, output] = fencesOf('README.md')

test("the README's program has at most 20 lines and prints what the README shows", () => {
  expect(program?.language).toBe('ts')
  expect(output?.language).toBe('text')
  const text = program?.text ?? ''
  expect(text.trimEnd().split('\n').length).toBeLessThanOrEqual(20)
  const tree = workspaceTree({ 'program.ts': text })
  try {
    const args = ['--conditions=@talos/source', 'program.ts']
    const printed = execFileSync(process.execPath, args, { cwd: tree.root, encoding: 'utf8' })
    expect(printed).toBe(output?.text)
  } finally {
    tree.remove()
  }
}, 30_000)

test("the README's two commands come first and are commands of this repository", () => {
  const commands = [...readMarkdown('README.md').matchAll(/^ {4}npm (?:run )?(\w+) {3,}/gm)].map(
    ([, name]) => name,
  )
  expect(commands).toEqual(['demo', 'test'])
  const { scripts } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
    scripts: object
  }
  for (const command of commands) expect(scripts).toHaveProperty(command ?? '')
})

test("the README's curl lines are lines of the runbook", () => {
  const lines = readMarkdown('README.md').match(/^curl .*$/gm) ?? []
  expect(lines.length).toBeGreaterThanOrEqual(3)
  const runbook = readMarkdown('docs/guide/runbook.md').split('\n')
  for (const line of lines) expect(runbook).toContain(line)
})

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { MATRIX, STORES, scenarios } from '../retirement/matrix.ts'
import { repository, runGate, temporaryTree } from './temporary-tree.ts'

// Each test starts a process or two, on machines that may be busy.
vi.setConfig({ testTimeout: 30_000 })

const page = readFileSync(join(repository, 'docs/reference/safe.md'), 'utf8')

function check(text: string): { ok: boolean; output: string } {
  const { root, remove } = temporaryTree({ 'safe.md': text })
  onTestFinished(remove)
  return runGate('scripts/safe-reference.mjs', ['--check', join(root, 'safe.md')], root)
}

test('the page of what SAFE rests on has every reason, every store and every scenario', () => {
  for (const code of Object.keys(MATRIX)) expect(page).toContain(`\n\`${code}\`:\n`)
  for (const name of Object.values(STORES)) expect(page).toContain(`| ${name} |`)
  for (const { title } of scenarios()) expect(page).toContain(`: ${title}.\n`)
})

test('the page of what SAFE rests on that is checked in passes its gate', () => {
  expect(check(page)).toEqual({ ok: true, output: '' })
})

test.each([
  ['a clause is missing', (text: string) => text.replace(/^\| \[S5\].*\n/m, '')],
  ['a reason was edited by hand', (text: string) => text.replace('because nobody has rotated', 'by chance')],
  ['there is nothing', () => ''],
])('the gate fails when on the page of what SAFE rests on %s', (_what, edit) => {
  const { ok, output } = check(edit(page))
  expect(ok).toBe(false)
  expect(output).toContain('run: node scripts/run.mjs exec node scripts/safe-reference.mjs')
})

test('the gate fails when there is no page of what SAFE rests on', () => {
  expect(runGate('scripts/safe-reference.mjs', ['--check', join(repository, 'none.md')], repository).ok).toBe(
    false,
  )
})

test('the script writes the page of what SAFE rests on that its check accepts', () => {
  const { root, remove } = temporaryTree({})
  onTestFinished(remove)
  expect(runGate('scripts/safe-reference.mjs', [join(root, 'safe.md')], root)).toEqual({
    ok: true,
    output: '',
  })
  expect(readFileSync(join(root, 'safe.md'), 'utf8')).toBe(page)
})

test('the page of what SAFE rests on is one of the gates', () => {
  const { ok, output } = runGate('scripts/check.mjs', ['safe'], repository)
  expect(output).toContain('ok     safe')
  expect(ok).toBe(true)
})

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { ERROR_CODES } from '../../packages/envelope/src/errors.ts'
import { repository, runGate, temporaryTree } from './temporary-tree.ts'

// Each test starts a process or two, on machines that may be busy.
vi.setConfig({ testTimeout: 30_000 })

const page = readFileSync(join(repository, 'docs/reference/errors.md'), 'utf8')

function check(text: string): { ok: boolean; output: string } {
  const { root, remove } = temporaryTree({ 'errors.md': text })
  onTestFinished(remove)
  return runGate('scripts/errors-reference.mjs', ['--check', join(root, 'errors.md')], root)
}

test('the page of errors has every code with its meaning', () => {
  for (const [code, meaning] of Object.entries(ERROR_CODES))
    expect(page).toContain(`| \`${code}\` | ${meaning} |`)
  expect(page.match(/^\| `ERR_/gm)).toHaveLength(Object.keys(ERROR_CODES).length)
})

test('the page of errors that is checked in passes its gate', () => {
  expect(check(page)).toEqual({ ok: true, output: '' })
})

test.each([
  ['a code is missing', (text: string) => text.replace(/^\| `ERR_VAULT_CLOSED`.*\n/m, '')],
  ['a meaning was edited by hand', (text: string) => text.replace('Open a new one.', 'Open another one.')],
  ['it is empty', () => ''],
])('the gate fails when on the page of errors %s', (_what, edit) => {
  const { ok, output } = check(edit(page))
  expect(ok).toBe(false)
  expect(output).toContain('run: node scripts/run.mjs exec node scripts/errors-reference.mjs')
})

test('the gate fails when there is no page of errors', () => {
  expect(
    runGate('scripts/errors-reference.mjs', ['--check', join(repository, 'none.md')], repository).ok,
  ).toBe(false)
})

test('the script writes the page that its check accepts', () => {
  const { root, remove } = temporaryTree({})
  onTestFinished(remove)
  expect(runGate('scripts/errors-reference.mjs', [join(root, 'errors.md')], root)).toEqual({
    ok: true,
    output: '',
  })
  expect(readFileSync(join(root, 'errors.md'), 'utf8')).toBe(page)
})

test('the page of errors is one of the gates', () => {
  const { ok, output } = runGate('scripts/check.mjs', ['errors'], repository)
  expect(output).toContain('ok     errors')
  expect(ok).toBe(true)
})

import { Buffer } from 'node:buffer'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { CANARY_KEK } from '../canaries.ts'

const testCommand = join(import.meta.dirname, '../../scripts/test.mjs')
let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'test-command-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

function runSuite(source: string): { status: number | null; lastLine: string | undefined; output: string } {
  writeFileSync(join(folder, 'suite.test.mjs'), source)
  // The outer run's variables would make the inner one believe that it is a worker of it.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(VITEST|TEST|NODE_ENV$)/.test(name)),
  )
  const ended = spawnSync(process.execPath, [testCommand, '--root', folder, '--globals'], {
    cwd: join(import.meta.dirname, '../..'),
    encoding: 'utf8',
    env,
  })
  return { status: ended.status, lastLine: ended.stdout.trimEnd().split('\n').at(-1), output: ended.stdout }
}

test('passing and skipped tests are counted in the last line and the command succeeds', () => {
  const ended = runSuite(
    `test('one', () => {}); test('two', () => {}); test.skip('three', () => {}); test.todo('four')`,
  )
  expect(ended.lastLine).toBe('tests: 2 passed, 0 failed, 2 skipped')
  expect(ended.status).toBe(0)
})

test('a failed test fails the command, and is named at its end', () => {
  const ended = runSuite(
    `test('one', () => {}); describe('group', () => { test('two', () => { throw new Error('no') }) })`,
  )
  expect(ended.lastLine).toBe('tests: 1 passed, 1 failed, 0 skipped')
  expect(ended.output).toMatch(/\nfailed tests:\n\S+suite\.test\.mjs > group > two\n {2}Error: no\n/)
  expect(ended.status).toBe(1)
})

test('a test file that cannot be loaded counts as failed', () => {
  const ended = runSuite(`throw new Error('at load')`)
  expect(ended.lastLine).toBe('tests: 0 passed, 1 failed, 0 skipped')
  expect(ended.output).toMatch(/\nfailed tests:\n\S+suite\.test\.mjs\n {2}(Error: )?at load\n/)
  expect(ended.status).toBe(1)
})

test('a test file whose setup fails counts as failed', () => {
  const ended = runSuite(`beforeAll(() => { throw new Error('no server') }); test('one', () => {})`)
  expect(ended.lastLine).toMatch(/^tests: 0 passed, 1 failed, \d skipped$/)
  expect(ended.output).toMatch(/\nfailed tests:\n\S+suite\.test\.mjs( > one)?\n {2}(Error: )?no server\n/)
  expect(ended.status).toBe(1)
})

test('a run without any test that ran fails', () => {
  const ended = runSuite(`test.skip('one', () => {})`)
  expect(ended.lastLine).toBe('tests: 0 passed, 1 failed, 1 skipped')
  expect(ended.output).toContain('no test ran')
  expect(ended.status).toBe(1)
})

test('an error outside of the tests fails the command although every test passed', () => {
  const ended = runSuite(`test('one', () => { Promise.reject(new Error('lost')) })`)
  expect(ended.lastLine).toBe('tests: 1 passed, 1 failed, 0 skipped')
  expect(ended.status).toBe(1)
})

test.each(['log', 'error'])(
  'key material printed by console.%s fails the command although every test passed',
  (method) => {
    const printed = Buffer.from(CANARY_KEK).toString('base64url')
    const ended = runSuite(`test('one', () => { console.${method}('${printed}') })`)
    expect(ended.lastLine).toBe('tests: 1 passed, 1 failed, 0 skipped')
    expect(ended.output.includes('key material: kek as base64url')).toBe(true)
    expect(ended.status).toBe(1)
  },
)

test('key bytes written raw to the output fail the command', () => {
  const bytes = JSON.stringify([...CANARY_KEK])
  const ended = runSuite(`test('one', () => { process.stdout.write(Uint8Array.from(${bytes})) })`)
  expect(ended.lastLine).toBe('tests: 1 passed, 1 failed, 0 skipped')
})

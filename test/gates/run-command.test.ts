import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { repository } from './temporary-tree.ts'

const runCommand = join(repository, 'scripts/run.mjs')

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [runCommand, ...args], { encoding: 'utf8' })
}

test('a task ends with the exit code of its program', () => {
  expect(run('exec', 'node', '-e', 'process.exit(7)').status).toBe(7)
})

test('arguments reach the program unchanged', () => {
  const ended = run(
    'exec',
    'node',
    '-p',
    'JSON.stringify(process.argv.slice(1))',
    'two words',
    '--flag',
    '$HOME',
    '*',
  )
  expect(JSON.parse(ended.stdout)).toEqual(['two words', '--flag', '$HOME', '*'])
})

test('an unknown task is refused with the list of tasks', () => {
  const ended = run('deploy')
  expect(ended.status).toBe(1)
  expect(ended.stderr).toContain('usage: node scripts/run.mjs <demo|test|check')
})

test('a program that does not exist is named', () => {
  const ended = run('exec', 'no-such-program')
  expect(ended.status).toBe(127)
  expect(ended.stderr).toContain('cannot run no-such-program')
})

async function terminate(program: string): Promise<{ code: number | null; signal: string | null }> {
  const child = spawn(process.execPath, [runCommand, 'exec', 'node', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  child.kill('SIGTERM')
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
  return { code, signal }
}

test('a signal reaches the program, which may end in order', async () => {
  const program = `process.on('SIGTERM', () => process.exit(42)); setInterval(() => {}, 1e6); console.log('up')`
  expect(await terminate(program)).toEqual({ code: 42, signal: null })
})

test('a program ended by a signal ends the task by the same signal', async () => {
  expect(await terminate(`setInterval(() => {}, 1e6); console.log('up')`)).toEqual({
    code: null,
    signal: 'SIGTERM',
  })
})

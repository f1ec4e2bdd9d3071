import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const DEMO = fileURLToPath(new URL('../../examples/gateway/demo.ts', import.meta.url))

function runDemo(...args: readonly string[]): { readonly status: number | null; readonly output: string } {
  const argv = ['--conditions=@talos/source', DEMO, ...args]
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8' })
  return { status, output: stdout + stderr }
}

test('the demo names the stores it has when asked for another one, and fails', () => {
  const { status, output } = runDemo('--store', 'files')
  expect(status).toBe(1)
  expect(output).toContain(
    'demo: failed: there is no store "files"; available: sqlite, postgres, redis, dynamodb',
  )
  expect(output).not.toContain('demo: ok')
})

test('the demo refuses an option it does not know', () => {
  const { status, output } = runDemo('--stores')
  expect(status).toBe(1)
  expect(output).toContain("demo: failed: Unknown option '--stores'")
})

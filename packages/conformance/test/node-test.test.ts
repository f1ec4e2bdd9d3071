import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { STORE_CHECKS } from '@talos/envelope-conformance'
import { expect, test } from 'vitest'

const file = fileURLToPath(new URL('./memory-store.node-test.ts', import.meta.url))

test('the checks run under node:test as well', { timeout: 60_000 }, async () => {
  const args = ['--conditions=@talos/source', '--test', '--test-reporter=tap', file]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  const checks = STORE_CHECKS.filter(({ needs }) => needs === undefined)
  expect(stdout).toMatch(new RegExp(`^# pass ${checks.length}$`, 'm'))
  expect(stdout).toMatch(/^# fail 0$/m)
  for (const { id } of checks) expect(stdout).toContain(` - [${id}] `)
})

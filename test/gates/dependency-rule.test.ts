import { describe, expect, test } from 'vitest'
import { runGate, temporaryTree } from './temporary-tree.ts'

/** Checks sources, given by their path below `packages/` or `examples/`. */
function check(files: Readonly<Record<string, string>>): { ok: boolean; output: string } {
  const tree = temporaryTree(files)
  try {
    return runGate('scripts/check-dependencies.mjs', [tree.root], tree.root)
  } finally {
    tree.remove()
  }
}

const core = 'packages/envelope/src'
type Violation = [file: string, source: string, message: string]

const violations: Violation[] = [
  // What a part of the core may import.
  [`${core}/bytes.ts`, `import { x } from './errors.ts'`, 'imports ./errors.ts: bytes.ts, errors.ts'],
  [`${core}/errors.ts`, `import { inspect } from 'node:util'`, 'imports node:util: node: modules belong'],
  [
    `${core}/crypto/aead.ts`,
    `import '../format/context.ts'`,
    'crypto may import bytes, errors, events, runtime; not format',
  ],
  [`${core}/format/context.ts`, `import '../crypto/aead.ts'`, 'not crypto'],
  [`${core}/store/a.ts`, `import type { K } from '../keyring/kek.ts'`, 'not keyring'],
  [`${core}/store/b.ts`, `let x: import('../codec/wrap.ts').Wrap`, 'not codec'],
  [`${core}/keyring/kek.ts`, `import '../store/secret-store.ts'`, 'not store'],
  [`${core}/codec/wrap.ts`, `export { x } from '../store/secret-store.ts'`, 'not store'],
  [`${core}/lifecycle/promote.ts`, `await import('../rotation/plan.ts')`, 'not rotation'],
  [`${core}/lifecycle/retire.ts`, `import '../crypto/random.ts'`, 'not crypto'],
  [`${core}/rotation/plan.ts`, `import '../vault/secret-vault.ts'`, 'not vault'],
  [`${core}/vault/a.ts`, `import '../testing.ts'`, 'not testing'],
  [`${core}/vault/b.ts`, `import '../index.ts'`, 'not index'],
  [
    `${core}/vault/c.ts`,
    `import '../../../sqlite/src/index.ts'`,
    'the core imports its own files and nothing else',
  ],
  [`${core}/vault/d.ts`, `import { z } from 'zod'`, '@talos/envelope has no runtime dependency'],
  [`${core}/vault/e.ts`, 'await import(name)', 'imports a computed module name'],
  [`${core}/helpers/a.ts`, '', 'has no place in the direction rule'],
  // Node and the world.
  [`${core}/format/b.ts`, `import { createHash } from 'node:crypto'`, 'node: modules belong'],
  [`${core}/vault/f.ts`, `import { setTimeout } from 'node:timers/promises'`, 'node: modules belong'],
  [`${core}/rotation/a.ts`, 'const now = Date.now()', 'uses Date: engine code reaches'],
  [`${core}/rotation/b.ts`, 'const now = new Date()', 'uses Date'],
  [`${core}/rotation/c.ts`, 'setTimeout(() => {}, 1)', 'uses setTimeout'],
  [`${core}/rotation/d.ts`, 'setInterval(() => {}, 1)', 'uses setInterval'],
  [`${core}/rotation/e.ts`, 'setImmediate(() => {})', 'uses setImmediate'],
  [`${core}/lifecycle/a.ts`, 'const started = performance.now()', 'uses performance'],
  [`${core}/lifecycle/b.ts`, 'const jitter = Math.random()', 'uses Math.random'],
  [`${core}/lifecycle/c.ts`, 'const { env } = process', 'uses process'],
  [`${core}/lifecycle/d.ts`, 'globalThis.setTimeout(() => {}, 1)', 'uses globalThis'],
  [`${core}/vault/g.ts`, 'const signal = AbortSignal.timeout(10)', 'uses AbortSignal.timeout'],
  [`${core}/vault/h.ts`, `const wait = { fetch }`, 'uses fetch'],
  // Other packages.
  [
    'packages/sqlite/src/a.ts',
    `import '@talos/envelope/src/codec/wrap.ts'`,
    'public entry points of the core only',
  ],
  [
    'packages/sqlite/src/b.ts',
    `import '../../envelope/src/index.ts'`,
    'by its name and public entry points only',
  ],
  ['packages/sqlite/src/c.ts', `import '@talos/envelope-express'`, 'public entry points of the core only'],
  [
    'packages/sqlite/test/a.test.ts',
    `import '../../envelope/src/bytes.ts'`,
    'by its name and public entry points',
  ],
  [
    'examples/gateway/main.ts',
    `import '../../packages/sqlite/src/index.ts'`,
    'by its name and public entry points',
  ],
  ['packages/sqlite/src/index.ts', 'export const x = 1', 'index.ts holds named re-exports only'],
  ['packages/conformance/src/a.ts', `import '@talos/envelope-sqlite'`, 'modules of Node and nothing else'],
  ['packages/conformance/src/b.ts', `import '@talos/envelope/testing'`, 'modules of Node and nothing else'],
  ['packages/conformance/src/c.ts', `import { test } from 'node:test'`, 'and no test runner'],
  ['packages/conformance/src/d.ts', `import { test } from 'vitest'`, 'and no test runner'],
  ['packages/conformance/test/a.test.ts', `import '@talos/envelope-sqlite'`, 'knows no adapter, not even in'],
  ['packages/express/src/handlers/a.ts', `import type { Request } from 'express'`, 'handlers import zod and'],
  ['packages/express/src/handlers/b.ts', `import { join } from 'node:path'`, 'handlers import zod and'],
  ['packages/express/src/handlers/c.ts', `import '../router.ts'`, ''],
  ['packages/express/src/router.ts', `import express from 'express'`, 'this file is imported by a handler'],
]

describe('the dependency rule refuses', () => {
  const { ok, output } = check(Object.fromEntries(violations.map(([file, source]) => [file, source])))
  const lines = output.split('\n')

  test.each(violations.filter(([, , message]) => message !== ''))('%s: %s', (file, _source, message) => {
    expect(lines.filter((line) => line.startsWith(`${file}:1 `)).join('\n')).toContain(message)
  })

  test('with a failing exit code', () => {
    expect(ok).toBe(false)
  })
})

test('the dependency rule accepts what the architecture allows', () => {
  const { ok, output } = check({
    [`${core}/bytes.ts`]: 'export const x = 1',
    [`${core}/crypto/aead.ts`]: `import { createCipheriv } from 'node:crypto'; import { x } from '../bytes.ts'`,
    [`${core}/keyring/file-source.ts`]: `import { readFile } from 'node:fs/promises'; import '../crypto/aead.ts'`,
    [`${core}/codec/wrap.ts`]: `import { inspect } from 'node:util'; import '../format/a.ts'; import '../keyring/kek.ts'`,
    [`${core}/rotation/plan.ts`]: `import '../lifecycle/promote.ts'; import '../codec/wrap.ts'; const t = runtime.performance`,
    [`${core}/lifecycle/promote.ts`]: `import '../store/secret-store.ts'; interface Times { process: Date }`,
    [`${core}/vault/system-runtime.ts`]: `import { hostname } from 'node:os'; const now = Date.now()`,
    [`${core}/testing.ts`]: `export { x } from './vault/secret-vault.ts'`,
    [`${core}/index.ts`]: `export type { T } from './errors.ts'; export { x } from './bytes.ts'`,
    'packages/sqlite/src/index.ts': `export { y } from './sqlite-store.ts'`,
    'packages/sqlite/src/sqlite-store.ts': `import { x } from '@talos/envelope'; import 'node:sqlite'`,
    'packages/sqlite/test/a.test.ts': `import '../../../test/canaries.ts'; import '@talos/envelope-express'`,
    'packages/conformance/src/a.ts': `import assert from 'node:assert/strict'; import '@talos/envelope'`,
    'packages/conformance/test/a.test.ts': `import 'vitest'; import '@talos/envelope-conformance'`,
    'packages/express/src/handlers/list.ts': `import { z } from 'zod'; import { x } from '@talos/envelope'; import '../schemas.ts'`,
    'packages/express/src/schemas.ts': `import { z } from 'zod'`,
    'examples/gateway/main.ts': `import express from 'express'; import '@talos/envelope-sqlite'`,
  })
  expect(output).toContain('0 violations')
  expect(ok).toBe(true)
})

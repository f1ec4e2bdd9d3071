import { join } from 'node:path'
import { expect, test } from 'vitest'
import { repository, runGate, temporaryTree } from './temporary-tree.ts'

/** Documents a workspace of one package, whose `index.ts` also exports what the given source declares. */
function document(source: string): { ok: boolean; output: string } {
  const tree = temporaryTree({
    'packages/envelope/package.json': JSON.stringify({ name: '@talos/envelope', version: '1.0.0' }),
    'packages/envelope/tsconfig.json': JSON.stringify({
      compilerOptions: { target: 'es2024', module: 'nodenext', types: [] },
      include: ['src'],
    }),
    'packages/envelope/src/index.ts': [
      '/** The codes. */',
      `export const ERROR_CODES = { ERR_STORE_UNAVAILABLE: 'No store.' } as const`,
      '/** A store failed. */',
      'export class StoreError extends Error {}',
      source,
    ].join('\n'),
  })
  try {
    const options = ['--options', join(repository, 'typedoc.json')]
    return runGate('typedoc', [...options, '--entryPoints', 'packages/*', '--out', 'out'], tree.root)
  } finally {
    tree.remove()
  }
}

test('a documented export is accepted', () => {
  const { ok, output } = document(`
    /**
     * Reads. See {@link StoreError}.
     *
     * @throws StoreError \`ERR_STORE_UNAVAILABLE\`.
     * @throws TypeError, RangeError for misuse.
     */
    export function read(): void {}`)
  expect(output).toContain('html generated')
  expect(ok).toBe(true)
}, 60_000)

test('an export or a method without a comment, and a type that is used but not exported, are refused', () => {
  const { ok, output } = document(`
    export function bare(): void {}
    export interface BareOptions { a: 1 }
    export type BareAnswer = 'yes'
    interface Hidden { a: 1 }
    /** A store. */
    export interface Store { bareMethod(): void; hidden: Hidden }
  `)
  expect(output).toContain('bare (CallSignature)')
  expect(output).toContain('BareOptions (Interface)')
  expect(output).toContain('BareAnswer (TypeAlias)')
  expect(output).toContain('Store.bareMethod (CallSignature)')
  expect(output).toContain('Hidden, defined in @talos/envelope/src/index.ts, is referenced by Store.hidden')
  expect(ok).toBe(false)
}, 60_000)

test('a link to nothing, and a throw of an unknown class or code, are refused', () => {
  const { ok, output } = document(`
    /** See {@link Nothing}. */
    export const linked = 1
    /** Reads. @throws OtherError */
    export function throwsOther(): void {}
    /** Reads. @throws StoreError \`ERR_GONE\` */
    export function throwsGone(): void {}
    /** Reads. @throws when there is none */
    export function throwsWhen(): void {}
  `)
  expect(output).toContain('Failed to resolve link to "Nothing"')
  expect(output).toContain('names OtherError, which is neither documented nor built in')
  expect(output).toContain('names ERR_GONE, which is not in ERROR_CODES')
  expect(output).toContain('does not begin with an error class: when there is none')
  expect(ok).toBe(false)
}, 60_000)

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'

export const repository: string = join(import.meta.dirname, '../..')

/** Writes files into a new folder, and tells how to be rid of it. */
export function temporaryTree(files: Readonly<Record<string, string>>): { root: string; remove: () => void } {
  const root = mkdtempSync(join(tmpdir(), 'gate-'))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return { root, remove: () => rmSync(root, { recursive: true, force: true }) }
}

/** Runs a program of the workspace, or a script with the running Node. */
export function runGate(
  program: string,
  args: readonly string[],
  cwd: string,
): { ok: boolean; output: string } {
  const command = program.endsWith('.mjs') ? process.execPath : join(repository, 'node_modules/.bin', program)
  const fixed = program.endsWith('.mjs') ? [join(repository, program)] : []
  // Scripts call programs of the workspace by their names, as they may under `scripts/run.mjs`.
  const path = `${join(repository, 'node_modules/.bin')}${delimiter}${process.env['PATH']}`
  const env = { ...process.env, PATH: path, NO_COLOR: '1', FORCE_COLOR: '0' }
  const ended = spawnSync(command, [...fixed, ...args], { cwd, encoding: 'utf8', env })
  if (ended.error) throw ended.error
  return { ok: ended.status === 0, output: ended.stdout + ended.stderr }
}

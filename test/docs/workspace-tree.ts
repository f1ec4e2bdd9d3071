import { mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryTree } from '../gates/temporary-tree.ts'
import { repository } from './markdown.ts'

const GATEWAY_MODULES = join(repository, 'examples/gateway/node_modules')

/** The folder of a user: new, with some files, with all packages installed and what the example gateway needs besides. */
export function workspaceTree(files: Readonly<Record<string, string>>): { root: string; remove: () => void } {
  const tree = temporaryTree({ 'package.json': '{ "type": "module" }', ...files })
  const modules = join(tree.root, 'node_modules')
  mkdirSync(join(modules, '@talos'), { recursive: true })
  for (const name of readdirSync(GATEWAY_MODULES)) {
    if (name === '@talos' || name.startsWith('.')) continue
    symlinkSync(join(GATEWAY_MODULES, name), join(modules, name), 'junction')
  }
  for (const folder of readdirSync(join(repository, 'packages'))) {
    const path = join(repository, 'packages', folder)
    const { name } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as { name: string }
    symlinkSync(path, join(modules, name), 'junction')
  }
  return tree
}

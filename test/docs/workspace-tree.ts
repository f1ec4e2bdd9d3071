import { mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryTree } from '../gates/temporary-tree.ts'
import { repository } from './markdown.ts'

const GATEWAY_MODULES = join(repository, 'examples/gateway/node_modules')
/** What else guides and packages are used with. */
const MORE_MODULES = ['pg-boss']

/** The folder of a user: new, with some files, with all packages installed, what the example gateway needs, and more. */
export function workspaceTree(files: Readonly<Record<string, string>>): { root: string; remove: () => void } {
  const tree = temporaryTree({ 'package.json': '{ "type": "module" }', ...files })
  const modules = join(tree.root, 'node_modules')
  mkdirSync(join(modules, '@talos'), { recursive: true })
  for (const name of readdirSync(GATEWAY_MODULES)) {
    if (name === '@talos' || name.startsWith('.')) continue
    symlinkSync(join(GATEWAY_MODULES, name), join(modules, name), 'junction')
  }
  for (const name of MORE_MODULES) {
    symlinkSync(join(repository, 'node_modules', name), join(modules, name), 'junction')
  }
  for (const folder of readdirSync(join(repository, 'packages'))) {
    const path = join(repository, 'packages', folder)
    const { name } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as { name: string }
    symlinkSync(path, join(modules, name), 'junction')
  }
  return tree
}

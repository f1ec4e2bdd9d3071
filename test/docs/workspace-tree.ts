import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryTree } from '../gates/temporary-tree.ts'
import { repository } from './markdown.ts'

/** The folder of a user: new, with some files, and with all packages installed as the example gateway has them. */
export function workspaceTree(files: Readonly<Record<string, string>>): { root: string; remove: () => void } {
  const tree = temporaryTree({ 'package.json': '{ "type": "module" }', ...files })
  symlinkSync(join(repository, 'examples/gateway/node_modules'), join(tree.root, 'node_modules'), 'junction')
  return tree
}

/**
 * Measures a suite of `bench/`: `codec` on the newest Node of every supported line, one after the other, and `stores` and
 * `rotation`, where servers do most of the work, on one.
 *
 *     npm run bench -- <suite> [--json] [--check] [--rounds <n>] [--node <version>]…
 *
 * With --json, standard output has one JSON document in one line for each Node, and nothing else.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { installNode, NEWEST_NODES, root, windows } from './tools.mjs'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    node: { type: 'string', multiple: true },
  },
})
const nodes = values.node ?? (positionals[0] === 'codec' ? NEWEST_NODES : NEWEST_NODES.slice(1, 2))

function programOf(version) {
  const folder = installNode(version)
  if (folder !== null) return join(folder, windows ? 'node.exe' : 'node')
  console.error(`npm has no Node ${version} for this machine: measuring on ${process.versions.node}`)
  return process.execPath
}

const args = [
  '--conditions=@talos/source',
  '--expose-gc',
  join(root, 'bench/main.ts'),
  ...positionals,
  ...(values.json ? ['--json'] : []),
  ...(values.check ? ['--check'] : []),
  ...(values.rounds === undefined ? [] : ['--rounds', values.rounds]),
]
for (const program of new Set(nodes.map(programOf))) {
  const ended = spawnSync(program, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  if (ended.error) throw ended.error
  if (ended.status !== 0) process.exitCode = ended.status ?? 1
  // Wrong arguments are wrong on every Node.
  if (ended.status === 2) break
}

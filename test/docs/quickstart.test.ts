import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { runStep, stepsOf } from './guide.ts'
import { fencesOf } from './markdown.ts'
import { Shell } from './shell.ts'
import { workspaceTree } from './workspace-tree.ts'

const QUICKSTART = 'docs/guide/quickstart.md'
/** Where the quickstart's server listens. */
const PORT = '3000'

async function freePort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return `${port}`
}

test('the quickstart, typed as it stands, ends with secrets in a file and an admin API', async () => {
  const port = await freePort()
  const there = (text: string): string => text.replaceAll(PORT, port)
  const tree = workspaceTree({})
  onTestFinished(tree.remove)
  const programs = fencesOf(QUICKSTART).filter(({ language }) => language === 'ts')
  const files = programs.map(({ text }) => {
    const [, file = ''] = /^\/\/ (\S+\.ts)\n/.exec(text) ?? []
    writeFileSync(join(tree.root, file), there(text))
    return file
  })
  expect(files).toEqual(['store-secret.ts', 'server.ts'])

  // The packages are read from their sources here, in place of what npm would install.
  const shell = new Shell({ cwd: tree.root, env: { NODE_OPTIONS: '--conditions=@talos/source' } })
  const [install, ...steps] = stepsOf(QUICKSTART, ({ language }) => language !== 'ts')
  expect(install?.commands.text).toContain('npm install @talos/envelope @talos/envelope-sqlite')
  for (const step of steps) await runStep(shell, step, there(step.commands.text))
  expect(steps.filter(({ answer }) => answer !== null).length).toBeGreaterThanOrEqual(5)

  const again = await shell.run('node store-secret.ts')
  expect(again.printed()).toContain(`{ outcome: 'replaced', version: 2 }`)
}, 60_000)

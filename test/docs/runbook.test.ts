import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { runStep, stepsOf } from './guide.ts'
import { repository } from './markdown.ts'
import { Shell } from './shell.ts'

const RUNBOOK = 'docs/guide/runbook.md'
const steps = stepsOf(RUNBOOK, ({ headings }) => /^\d\. /.test(headings[1] ?? ''))

/** A gateway is told to listen where there is room; the guide's address is the default one. */
async function pointToGateway(shell: Shell, printed: string): Promise<void> {
  const [, url] = /^listening on (http:\S+)$/m.exec(printed) ?? []
  if (url !== undefined) await shell.run(`REAL_ADMIN=${url}/admin/v1/secrets; ADMIN=$REAL_ADMIN`)
}

test('the runbook has two restarts, and all its steps are run', () => {
  const commands = steps.map((step) => step.commands.text).join('')
  expect(commands.match(/^kill -TERM \$GATEWAY && wait \$GATEWAY$/gm)).toHaveLength(3)
  expect(commands.match(/^node .*examples\/gateway\/main\.ts & GATEWAY=\$!$/gm)).toHaveLength(3)
  expect(commands.match(/^curl /gm)?.length).toBeGreaterThanOrEqual(8)
})

test('the runbook, typed as it stands, takes a gateway from v1 to v2 with the answers it shows', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'runbook-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const shell = new Shell({
    cwd: repository,
    env: { PORT: '0', DATABASE: join(folder, 'gateway.sqlite') },
  })
  let operationId = ''
  for (const step of steps) {
    const commands = step.commands.text.replace('OP_ID=…', `OP_ID=${operationId}`)
    const ran = await runStep(shell, step, commands)
    if (commands.startsWith('ADMIN=')) await shell.run('ADMIN=$REAL_ADMIN')
    if (commands.includes('/main.ts')) await pointToGateway(shell, ran.printed())
    if (commands.includes('/rotate-all')) operationId = (JSON.parse(ran.printed()) as { op_id: string }).op_id
  }
  expect(operationId).not.toBe('')
}, 120_000)

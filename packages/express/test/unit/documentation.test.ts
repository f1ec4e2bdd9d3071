import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { generateKek } from '@talos/envelope'
import { describe, expect, it } from 'vitest'
import { PROBLEMS } from '../../src/problem.ts'
import { routesForReading } from '../support/route-table.ts'
import { until } from '../support/served.ts'

const folder = join(import.meta.dirname, '../..')
const readme = readFileSync(join(folder, 'README.md'), 'utf8')
const guide = readFileSync(join(folder, '../../docs/guide/http-api.md'), 'utf8')

describe('the documentation', () => {
  it('lists every problem with its status, and no other', () => {
    const rows = [...guide.matchAll(/^\| `([A-Z0-9_]+)` \| (\d{3}) \|/gm)].map(([, code, status]) => [
      code,
      Number(status),
    ])
    expect(rows).toEqual(Object.entries(PROBLEMS).map(([code, [status]]) => [code, status]))
  })

  it('lists every route with its role', () => {
    for (const { method, path, role, operation } of routesForReading()) {
      const target = method === 'DELETE' && path === '/' ? 'DELETE /?name=' : `${method} ${path}`
      for (const text of [readme, guide]) {
        const row = text.split('\n').find((line) => line.startsWith('| ') && line.includes(`\`${target}\``))
        expect(row?.split(' | ')[1]).toBe(role ?? 'none')
        if (text === guide && role !== null) expect(row).toContain(`\`${operation}\``)
      }
    }
  })

  it("the README's example runs as it stands", async () => {
    const [, code = ''] = /```ts\n(.*?)```/s.exec(readme) ?? []
    expect(code.trimEnd().split('\n').length).toBeLessThanOrEqual(20)
    const port = await freePort()
    const token = 'V7fQx2mLr9KpZ4sWb8NcT1yHd6GjE3uA'
    const args = ['--conditions=@talos/source', '--input-type=module', '-e', code.replace('3000', `${port}`)]
    const child = spawn(process.execPath, args, {
      cwd: folder,
      stdio: 'inherit',
      env: {
        PATH: process.env['PATH'],
        ROOT_TOKEN: token,
        TALOS_KEK_v1: generateKek(),
        TALOS_CURRENT_KEK_ID: 'v1',
      },
    })
    try {
      const url = `http://127.0.0.1:${port}/admin/v1/secrets`
      const answered = () => fetch(`${url}/healthz`).catch(() => null)
      const health = await until(answered, (answer) => answer !== null || child.exitCode !== null)
      expect(await health?.json()).toEqual({ ready: true })
      const status = await fetch(`${url}/kek-status`, { headers: { Authorization: `Bearer ${token}` } })
      expect(await status.json()).toMatchObject({ current_kek_id: 'v1', stale_counts: {} })
    } finally {
      const ended = child.exitCode === null ? once(child, 'exit') : null
      child.kill()
      await ended
    }
  })
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

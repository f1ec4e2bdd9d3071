import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'

const TOKEN = 'V7fQx2mLr9KpZ4sWb8NcT1yHd6GjE3uA'
const folder = mkdtempSync(join(tmpdir(), 'http-'))
const servers: { readonly process: ChildProcess; readonly url: string }[] = []

async function start(current: string): Promise<void> {
  const child = fork(fileURLToPath(new URL('server-process.ts', import.meta.url)), {
    execArgv: ['--conditions=@talos/source'],
    env: { DATABASE: join(folder, 'store.sqlite'), CURRENT: current, ROOT_TOKEN: TOKEN },
  })
  const [port] = (await once(child, 'message')) as [number]
  servers.push({ process: child, url: `http://127.0.0.1:${port}` })
}

interface Answer {
  readonly status: number
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape
  readonly json: any
}

/** Asks one of the two processes. */
async function ask(
  which: number,
  method: string,
  path: string,
  body?: unknown,
  key?: string,
): Promise<Answer> {
  const response = await fetch(`${servers[which % servers.length]?.url}${path}`, {
    method,
    headers: {
      Authorization: `Bearer ${TOKEN}`,
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...(key === undefined ? {} : { 'Idempotency-Key': key }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, text, json: JSON.parse(text) }
}

const fifty = <T>(call: (index: number) => Promise<T>) =>
  Promise.all(Array.from({ length: 50 }, (_, at) => call(at)))
const SLOW = { rate_limit: 0.01 }

beforeAll(async () => {
  await start('v1')
  await start('v1')
  for (let at = 0; at < 3; at++) {
    expect((await ask(at, 'POST', '/', { name: `secret-${at}`, value: 'value' })).status).toBe(201)
  }
  expect((await ask(0, 'POST', '/keks/v2/promote', { reason: 'test' }, 'promote-v2')).status).toBe(200)
})
afterAll(async () => {
  const ended = servers.map(({ process }) => once(process, 'exit'))
  for (const { process } of servers) process.kill()
  await Promise.all(ended)
  rmSync(folder, { recursive: true, force: true })
})

it('what one process has promoted with a key the other answers without doing it again', async () => {
  const again = await ask(1, 'POST', '/keks/v2/promote', { reason: 'test' }, 'promote-v2')
  expect(again.status).toBe(200)
  const keks = await ask(1, 'GET', '/kek-status')
  expect(keks.json).toMatchObject({ current_kek_id: 'v2', epoch: again.json.epoch })
  const audit = await ask(1, 'GET', '/audit')
  const promotions = audit.json.events.filter(
    ({ action, phase, reason }: Record<string, string>) =>
      action === 'promote' && phase === 'intent' && reason === 'test',
  )
  expect(promotions).toHaveLength(1)
})

it('50 calls of rotate-all at once, at two processes, begin one rotation that all of them name', async () => {
  const answers = await fifty((at) => ask(at, 'POST', '/rotate-all', SLOW))
  const accepted = answers.filter(({ status }) => status === 202).length
  const refused = answers.filter(({ status }) => status === 409).length
  const ids = new Set(answers.map(({ json }) => json.op_id))
  console.log(`50 × rotate-all at two processes: ${accepted} × 202, ${refused} × 409, ${ids.size} op_id`)
  expect([accepted, refused, ids.size]).toEqual([1, 49, 1])
  expect((await ask(0, 'POST', `/rotations/${[...ids][0]}/cancel`)).status).toBe(202)
})

it('50 calls with one key at once, at two processes, are all answered with the one rotation', async () => {
  const before = (await ask(0, 'GET', '/rotations')).json.rotations.length
  const answers = await fifty((at) => ask(at, 'POST', '/rotate-all', SLOW, 'one-key'))
  const accepted = answers.filter(({ status }) => status === 202).length
  const ids = new Set(answers.map(({ json }) => json.op_id))
  console.log(
    `50 × rotate-all with one Idempotency-Key at two processes: ${accepted} × 202, ${ids.size} op_id`,
  )
  expect([accepted, ids.size]).toEqual([50, 1])
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
  expect((await ask(1, 'GET', '/rotations')).json.rotations).toHaveLength(before + 1)

  const other = await fifty((at) => ask(at, 'POST', '/rotate-all', { rate_limit: at + 1 }, 'one-key'))
  expect(new Set(other.map(({ status }) => status))).toEqual(new Set([422]))
  expect(new Set(other.map(({ json }) => json.code))).toEqual(new Set(['IDEMPOTENCY_KEY_REUSED']))
  console.log(`50 × the same key with another body: ${other.length} × 422`)
})

it('a rotation begun at one process is paused, listed and ended at the other', async () => {
  const [operation] = (await ask(1, 'GET', '/rotations?limit=1')).json.rotations
  for (const [which, verb, status] of [
    [1, 'pause', 'paused'],
    [0, 'resume', 'running'],
    [1, 'cancel', 'cancelled'],
  ] as const) {
    expect((await ask(which, 'POST', `/rotations/${operation.id}/${verb}`)).status).toBe(202)
    const seen = await ask(which + 1, 'GET', `/rotation-status/${operation.id}`)
    expect(seen.json.status).toBe(status)
  }
})

it('both processes are told by either, with what they hold', async () => {
  const [here, there] = [await ask(0, 'GET', '/instances'), await ask(1, 'GET', '/instances')]
  for (const { json } of [here, there]) expect(json.instances).toHaveLength(2)
})

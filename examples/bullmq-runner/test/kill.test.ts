import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { environmentKeys, openVault, type RotationRunner, type SecretVault } from '@talos/envelope'
import { redisStore } from '@talos/envelope-redis'
import { Redis } from 'ioredis'
import { expect, onTestFinished, test, vi } from 'vitest'
import { RedisServer } from '../../../test/services/redis-server.ts'

const SECRETS = 4_000
const NAMES = Array.from({ length: SECRETS }, (_, n) => `provider/${n}`)
const WAIT = { timeout: 60_000, interval: 20 }

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))
const PROGRAM = fileURLToPath(new URL('worker-process.ts', import.meta.url))

const V1 = { TALOS_KEK_v1: randomBytes(32).toString('base64url'), TALOS_CURRENT_KEK_ID: 'v1' }
const V2 = { ...V1, TALOS_KEK_v2: randomBytes(32).toString('base64url'), TALOS_CURRENT_KEK_ID: 'v2' }

/** For a vault that only looks: without a runner it would work on shards itself. */
const IDLE: RotationRunner = { start: async () => {}, enqueue: async () => {}, stop: async () => {} }

interface Said {
  readonly is: 'open' | 'began' | 'frozen' | 'done' | 'busy' | 'stopped'
  readonly shard?: string
  readonly records?: number
}

/** A process that works on shards, and what it has said. */
class Worker {
  readonly said: Said[] = []
  readonly #process: ChildProcessByStdio<Writable, Readable, null>

  constructor(url: string, freezes: boolean) {
    const env = { ...V2, PATH: process.env['PATH'], WORKER: JSON.stringify({ url, freezes }) }
    const args = ['--conditions=@talos/source', PROGRAM]
    this.#process = spawn(process.execPath, args, { env, stdio: ['pipe', 'pipe', 'inherit'] })
    this.#process.stdin.on('error', () => {})
    createInterface({ input: this.#process.stdout }).on('line', (line) => {
      this.said.push(JSON.parse(line) as Said)
    })
    onTestFinished(() => {
      this.#process.kill('SIGKILL')
    })
  }

  all(is: Said['is']): Said[] {
    return this.said.filter((said) => said.is === is)
  }

  tell(command: 'rotate' | 'close'): void {
    this.#process.stdin.write(`${command}\n`)
  }

  async end(how: 'kill' | 'close'): Promise<void> {
    const ended = once(this.#process, 'exit')
    if (how === 'kill') this.#process.kill('SIGKILL')
    else this.tell('close')
    await ended
  }
}

async function withVault<T>(
  url: string,
  environment: Record<string, string>,
  task: (vault: SecretVault) => Promise<T>,
) {
  const client = new Redis(url)
  const store = redisStore({ client })
  const keys = environmentKeys({ environment })
  const vault = await openVault({ store, keys, namespace: 'gateway', fleet: 'observer', runner: IDLE })
  const answer = await task(vault)
  await vault.close()
  client.disconnect()
  return answer
}

async function server(): Promise<string> {
  const redis = await RedisServer.start()
  onTestFinished(() => redis.stop())
  return redis.url
}

test('a process that is killed in the middle of a shard loses nothing: others redo it, and every secret opens', async () => {
  const url = await server()
  await withVault(url, V1, async (vault) => {
    const names = NAMES.values()
    const putAll = async (): Promise<void> => {
      for (const name of names) await vault.put(name, `value of ${name}`)
    }
    await Promise.all(Array.from({ length: 32 }, putAll))
  })

  // The others come when it has a shard in hand, or they might take all of them.
  const victim = new Worker(url, true)
  await vi.waitFor(() => expect(victim.all('open')).toHaveLength(1), WAIT)
  victim.tell('rotate')
  await vi.waitFor(() => expect(victim.all('frozen')).toHaveLength(1), WAIT)
  const others = [new Worker(url, false), new Worker(url, false)]
  for (const worker of others) await vi.waitFor(() => expect(worker.all('open')).toHaveLength(1), WAIT)
  const killed = performance.now()
  await victim.end('kill')
  const operation = await withVault(url, V2, async (vault) => {
    const [newest] = await vault.rotations.list({ limit: 1 })
    let last = newest
    for await (const step of vault.rotations.follow(newest?.id ?? '', { everyMs: 50 })) last = step
    return last
  })
  const seconds = (performance.now() - killed) / 1_000
  for (const worker of others) await worker.end('close')

  const { totals, status } = operation ?? expect.fail('the operation was forgotten')
  expect([status, totals.failed]).toEqual(['completed', 0])
  expect(totals.rewrapped).toBeLessThanOrEqual(SECRETS - (victim.all('frozen')[0]?.records ?? 0))
  const interrupted = victim.all('began').map(({ shard }) => shard)
  const redone = others.flatMap((worker) => worker.all('done')).map(({ shard }) => shard)
  expect(redone).toEqual(expect.arrayContaining(interrupted))
  const found = await withVault(url, V2, async (vault) => {
    const kekIds: unknown[] = []
    for (let at = 0; at < NAMES.length; at += 100) {
      const names = NAMES.slice(at, at + 100)
      const secrets = await vault.getMany(names)
      kekIds.push(...secrets.map((secret, n) => secret?.text() === `value of ${names[n]}` && secret.kekId))
    }
    return kekIds
  })
  expect(found).toEqual(NAMES.map(() => 'v2'))
  const begun = [victim, ...others].flatMap((worker) => worker.all('began')).map(({ shard }) => shard)
  console.log(
    `${SECRETS} secrets on Redis, 3 processes on BullMQ, 1 killed in the middle of ${interrupted.length} shard: ` +
      `${seconds.toFixed(1)} s from the kill to the end; ${new Set(begun).size} shards of ${operation?.pass} passes, ` +
      `${begun.length} jobs begun`,
  )
}, 90_000)

test('the program runs as its page says', async () => {
  const REDIS_URL = await server()
  const run = (environment: Record<string, string>, ...args: string[]) =>
    spawnSync(process.execPath, ['--conditions=@talos/source', MAIN, ...args], {
      env: { PATH: process.env['PATH'], REDIS_URL, ...environment },
      encoding: 'utf8',
    })
  const filled = run(V1, 'fill', '50')
  expect([filled.stderr, filled.stdout]).toEqual(['', '50 secrets\n'])
  const rotated = run(V2, 'rotate')
  expect(rotated.stderr).toBe('')
  expect(rotated.stdout.trim().split('\n').at(-1)).toMatch(/^completed: pass 2, .* 50 re-wrapped$/)
})

/**
 * One instance of a service as a process of its own, which works on the shards of rotations. It says what it does in lines of
 * JSON.
 *
 *     WORKER='{"url": …, "freezes": false}' node --conditions=@talos/source worker-process.ts
 */
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { environmentKeys, openVault, type RotationRunner, type SecretStore } from '@talos/envelope'
import { redisStore } from '@talos/envelope-redis'
import { Redis } from 'ioredis'
import { bullmqRunner } from '../runner.ts'

const { url, freezes } = JSON.parse(process.env['WORKER'] ?? '') as { url: string; freezes: boolean }

/** Reaches the pipe before it returns, so that what was said is known even of a process that was killed. */
function say(said: object): void {
  writeSync(1, `${JSON.stringify(said)}\n`)
}

/** Never comes back from a re-wrap: the first batch of a shard is written, and its progress is not saved. */
function freezing(store: SecretStore): SecretStore {
  return new Proxy(store, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target)
      if (key === 'write') {
        return async (...given: Parameters<SecretStore['write']>) => {
          const outcomes = await target.write(...given)
          if (given[1].every(({ kind }) => kind !== 'rewrap')) return outcomes
          say({ is: 'frozen', records: outcomes.length })
          return await new Promise(() => {})
        }
      }
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

/** The same runner, heard. */
function audible(runner: RotationRunner): RotationRunner {
  return {
    start: (work) =>
      runner.start(async (job, options) => {
        say({ is: 'began', shard: `${job.pass}/${job.shard}` })
        const result = await work(job, options)
        say({ is: result.outcome, shard: `${job.pass}/${job.shard}` })
        return result
      }),
    enqueue: (jobs, options) => runner.enqueue(jobs, options),
    stop: () => runner.stop(),
  }
}

const client = new Redis(url)
client.on('error', () => {})
const store = redisStore({ client })
const vault = await openVault({
  store: freezes ? freezing(store) : store,
  keys: environmentKeys(),
  namespace: 'gateway',
  leaseMs: 2_000,
  runner: audible(
    bullmqRunner({ connection: { url }, queue: 'gateway-rotation', concurrency: 1, lockMs: 2_000 }),
  ),
})
say({ is: 'open' })

const COMMANDS: Readonly<Record<string, () => Promise<unknown>>> = {
  rotate: () => vault.rotate(),

  async close() {
    await vault.close()
    client.disconnect()
    process.exit(0)
  },
}

createInterface({ input: process.stdin })
  .on('line', (line) => void COMMANDS[line]?.())
  // Whoever drove this process is gone.
  .on('close', () => process.exit(1))

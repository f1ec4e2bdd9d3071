/**
 * One instance of a service as a process of its own, which works on the shards of rotations. It says what it does, and does
 * what it is told, in lines of JSON.
 *
 *     node --conditions=@talos/source worker-process.ts
 */
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import {
  environmentKeys,
  nameShards,
  openVault,
  type RotationRunner,
  type SecretStore,
} from '@talos/envelope'
import { pgBossRunner } from '@talos/envelope-pg-boss'
import { postgresStore } from '@talos/envelope-postgres'
import { Pool } from 'pg'
import { PgBoss } from 'pg-boss'
import { WATCHFUL } from '../watchful.ts'
import type { Said, WorkerSettings } from './worker-protocol.ts'

/** Divides ten thousand secrets as a table is divided that has five times as many. */
const BORDERS = [2, 4, 6, 8].map((digit) => `provider/${digit}`)

const { url, engine, freezes } = JSON.parse(process.env['WORKER'] ?? '') as WorkerSettings

/** Reaches the pipe before it returns, so that what was said is known even of a process that was killed. */
function say(said: Said): void {
  writeSync(1, `${JSON.stringify(said)}\n`)
}

/** Never comes back from a re-wrap: the first batch of each shard is written, and its progress is not saved. */
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
        say({ is: 'began', job })
        const result = await work(job, options)
        say({ is: 'ended', job, outcome: result.outcome })
        return result
      }),
    enqueue: (jobs, options) => runner.enqueue(jobs, options),
    stop: () => runner.stop(),
  }
}

const pool = new Pool({ connectionString: url, max: 6 })
pool.on('error', () => {})
const boss = new PgBoss({ connectionString: url, max: 4, ...WATCHFUL })
boss.on('error', (error) => say({ is: 'fault', message: error.message }))
if (engine === 'pg-boss') await boss.start()
const store = Object.assign(postgresStore({ pool }), { shards: async () => nameShards(BORDERS) })
const vault = await openVault({
  store: freezes ? freezing(store) : store,
  keys: environmentKeys(),
  namespace: 'workers',
  leaseMs: 2_000,
  onEvent: (event) => {
    if (event.type === 'fault') say({ is: 'fault', message: `${event.code}: ${event.message}` })
  },
  ...(engine === 'pg-boss' ? { runner: audible(pgBossRunner({ boss, concurrency: 2 })) } : {}),
})
say({ is: 'open' })

const COMMANDS: Readonly<Record<string, (argument: string) => Promise<void>>> = {
  async rotate() {
    const { id } = await vault.rotate({ concurrency: 2 })
    say({ is: 'rotating', id })
  },

  async follow(id) {
    for await (const operation of vault.rotations.follow(id, { everyMs: 50 })) {
      const { status, pass, shards, totals } = operation
      say({ is: 'progress', status, pass, shards, totals })
    }
  },

  async close() {
    await vault.close()
    await boss.stop()
    await pool.end()
    process.exit(0)
  },
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const [command = '', argument = ''] = line.split(' ')
    void COMMANDS[command]?.(argument)
  })
  // Whoever drove this process is gone.
  .on('close', () => process.exit(1))

/** One instance of a service on PostgreSQL, which rotates, or serves reads, or both, as its parent process tells it. */
import { explicitKeys, openVault, type RotationRunner, type SecretVault } from '@talos/envelope'
import { pgBossRunner } from '@talos/envelope-pg-boss'
import { postgresStore } from '@talos/envelope-postgres'
import { Pool } from 'pg'
import { PgBoss } from 'pg-boss'
import { NAMESPACE } from '../stores/rotations.ts'
import { type Arrival, type Asked, type InstanceSettings, type Said, sharedClockMs } from './protocol.ts'

/** Leaves the work to others. */
const NOBODY: RotationRunner = {
  start: async () => {},
  enqueue: async () => {},
  stop: async () => {},
}

interface Opened {
  readonly vault: SecretVault
  close(): Promise<void>
}

let opened: Opened | null = null
let latencies: number[] = []
const underWay = new Set<Promise<void>>()

function say(said: Said): void {
  process.send?.(said)
}

async function open(settings: InstanceSettings): Promise<Opened> {
  const { url, tablePrefix, connections, currentKekId, runner } = settings
  const pool = new Pool({ connectionString: url, max: connections })
  const boss = runner === 'pg-boss' ? await new PgBoss({ connectionString: url, max: 2 }).start() : null
  const runners = {
    own: undefined,
    none: NOBODY,
    'pg-boss': boss && pgBossRunner({ boss, queue: `${tablePrefix}q` }),
  }
  const chosen = runners[runner] ?? undefined
  const keks = Object.entries(settings.keks).map(
    ([id, text]) => [id, Buffer.from(text, 'base64url')] as const,
  )
  const vault = await openVault({
    store: postgresStore({ pool, tablePrefix }),
    namespace: NAMESPACE,
    keys: explicitKeys({ keks: Object.fromEntries(keks), currentKekId }),
    ...(chosen === undefined ? {} : { runner: chosen }),
    onEvent(event) {
      // What is met in the background is tried again.
      if (event.type === 'fault') console.error(`${event.code}: ${event.message}`)
      if (event.type === 'rotation' && event.status !== 'running')
        say({ ended: event.status, rewrapped: event.rewrapped, failures: event.failed })
    },
  })
  return {
    vault,
    async close() {
      await vault.close()
      await boss?.stop({ graceful: false })
      await pool.end()
    },
  }
}

async function answer(asked: Asked): Promise<unknown> {
  switch (asked.ask) {
    case 'open':
      opened = await open(asked.settings)
      return null
    case 'rotate':
      return (await opened?.vault.rotate())?.id
    case 'latencies': {
      // However late one ends, it was asked for before.
      await Promise.allSettled(underWay)
      const told = latencies
      latencies = []
      return told
    }
    case 'peak':
      return process.resourceUsage().maxRSS * 1_024
    case 'close':
      await opened?.close()
      opened = null
      return null
  }
}

async function serve({ get, atMs }: Arrival): Promise<void> {
  const secret = await opened?.vault.get(get)
  if (secret === null || secret === undefined) throw new Error('There is no such secret.')
  latencies.push(sharedClockMs() - atMs)
}

function served(arrival: Arrival): Promise<void> {
  const serving = serve(arrival).finally(() => underWay.delete(serving))
  underWay.add(serving)
  return serving
}

process.on('message', (message: Asked | Arrival) => {
  const doing =
    'get' in message ? served(message) : answer(message).then((value) => say({ answer: value ?? null }))
  doing.catch((error: unknown) => say({ failed: String(error) }))
})

/**
 * One instance of a service as a process of its own. It reads and writes secrets without pause, says what became of each, and
 * answers questions, all as lines of JSON.
 *
 *     node --conditions=@talos/source instance-process.ts
 */
import { writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { environmentKeys, isEnvelopeError, openVault } from '@talos/envelope'
import { type PostgresPool, postgresStore } from '@talos/envelope-postgres'
import { HoldableStore } from './holdable-store.ts'
import type { Asked, Fault, InstanceSettings, Questions, Said } from './protocol.ts'

/** Between two writes, and between two reads: some twenty of each in a second. */
const PACE_MS = 40
const OWN_NAMES = 6

// The driver is the adapter's own: where this file lies, none is installed.
const require = createRequire(import.meta.resolve('@talos/envelope-postgres'))
const { Pool } = require('pg') as {
  Pool: new (config: object) => PostgresPool & { end(): Promise<void> }
}
const settings = JSON.parse(process.env['INSTANCE'] ?? '') as InstanceSettings
const { url, schema, slot, first, leaseMs, others } = settings
const pool = new Pool({ connectionString: url, max: 6 })
const holdable = new HoldableStore(postgresStore({ pool, schema }), {
  held: (name, kekId) => say({ is: 'held', name, kekId }),
  wrote: (name, kekId, outcome) => say({ is: 'wrote', name, kekId, outcome }),
})
const vault = await openVault({
  store: holdable.store,
  keys: environmentKeys(),
  namespace: 'deploys',
  leaseMs,
  onEvent: (event) => {
    // Thousands of reads and writes, which the ledger knows already.
    if (event.type !== 'call') say({ is: 'event', event, at: now() })
  },
})
let working = true
/** The highest number read or written of each name. */
const seen = new Map<string, number>()

/** Reaches the pipe before it returns, so that what was said is known even of a process that was killed. */
function say(said: Said): void {
  writeSync(1, `${JSON.stringify(said)}\n`)
}

function now(): number {
  return performance.timeOrigin + performance.now()
}

function faultOf(error: unknown): Fault {
  if (!isEnvelopeError(error)) return { code: 'unexpected', kekId: null, message: String(error) }
  const { kekId = null } = error as { kekId?: string | null }
  return { code: error.code, kekId, message: error.message }
}

async function put(name: string, value: string): Promise<void> {
  say({ is: 'putting', name, value })
  try {
    await vault.put(name, value)
    see(name, value, -1)
    say({ is: 'put', name, value, at: now() })
  } catch (error) {
    say({ is: 'refused', during: 'put', name, fault: faultOf(error) })
  }
}

async function read(name: string): Promise<void> {
  const known = seen.get(name) ?? -1
  try {
    const secret = await vault.get(name)
    const value = secret?.text() ?? null
    if (!see(name, value, known)) say({ is: 'wrong', name, value })
    say({ is: 'read', name })
  } catch (error) {
    say({ is: 'refused', during: 'read', name, fault: faultOf(error) })
  }
}

/** Whether a value is of this name and no older than the one that was known when the call began. */
function see(name: string, value: string | null, known: number): boolean {
  const [of, digits] = value === null ? [name, '-1'] : value.split('#')
  const number = Number(digits)
  if (of !== name || number < known) return false
  seen.set(name, Math.max(number, seen.get(name) ?? -1))
  return true
}

async function keepWriting(): Promise<void> {
  for (let n = first; working; n += 1) {
    const name = `${slot}-${n % OWN_NAMES}`
    await put(name, `${name}#${n}`)
    await pause(PACE_MS)
  }
}

async function keepReading(): Promise<void> {
  const names = [...others, ...Array.from({ length: OWN_NAMES }, (_, n) => `${slot}-${n}`)]
  // A stride that meets names of every kind soon; where it begins differs between processes.
  for (let n = process.pid; working; n += 7) {
    await read(names[n % names.length] ?? '')
    await pause(PACE_MS)
  }
}

type Answers = {
  readonly [Ask in keyof Questions]: (given: Questions[Ask]['given']) => Promise<Questions[Ask]['answer']>
}

const answers: Answers = {
  status: () => vault.status(),
  retirement: ({ accept }) =>
    vault.keks.checkRetirement('v1', accept ? { acceptLossOfBackups: 'no backups of this test' } : {}),
  async put({ name, value }) {
    await vault.put(name, value)
    return null
  },
  async readAll(names) {
    const entries = names.map(async (name) => {
      const found = await vault.get(name).then((secret) => secret?.text() ?? null, faultOf)
      return [name, found] as const
    })
    return Object.fromEntries(await Promise.all(entries))
  },
  rotate: () => vault.rotate(),
  async rotation(id) {
    const operation = await vault.rotations.get(id)
    if (operation === null) throw new Error('no such operation')
    const { status, totals, waitingFor } = operation
    return { status, rewrapped: totals.rewrapped, failed: totals.failed, waitingFor }
  },
  async hold() {
    holdable.hold()
    return null
  },
  async release() {
    holdable.release()
    return null
  },
  async quiet() {
    working = false
    await work
    return null
  },
  async close() {
    working = false
    await vault.close()
    await work
    return null
  },
}

async function answer({ id, ask, given }: Asked): Promise<void> {
  try {
    const value = await (answers[ask] as (given: unknown) => Promise<unknown>)(given)
    say({ is: 'answer', id, value })
    if (ask === 'close') await pool.end().then(() => process.exit(0))
  } catch (error) {
    say({ is: 'failed', id, fault: faultOf(error) })
  }
}

say({ is: 'open', at: now() })
const work = Promise.all([keepWriting(), keepReading()])
const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => void answer(JSON.parse(line) as Asked))
// Whoever drove this process is gone.
lines.on('close', () => process.exit(1))

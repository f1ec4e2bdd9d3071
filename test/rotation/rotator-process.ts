/**
 * One instance of a service as a process of its own, which may kill itself at a store call. It says that it is open, is given
 * one task as a line of JSON, and says when the operation has ended.
 *
 *     node --conditions=@talos/source rotator-process.ts <kind of store>
 */
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { explicitKeys, isEnvelopeError, openVault, type SecretStore, type SecretVault } from '@talos/envelope'
import { interceptStore } from '@talos/envelope/testing'
import { dividedStore } from './divided-store.ts'
import { openAddress } from './open-address.ts'
import type { Said, Task } from './protocol.ts'

const POLL_MS = 10
const [kind] = process.argv.slice(2)
if (kind === 'sqlite') await import('@talos/envelope-sqlite')
if (kind === 'postgres') await Promise.all([import('@talos/envelope-postgres'), import('pg')])
if (kind === 'redis') await import('@talos/envelope-redis')

const lines = createInterface({ input: process.stdin })
// Whoever drove this process is gone.
lines.on('close', () => process.exit(0))
say({ is: 'open' })
lines.once('line', (line) => void run(JSON.parse(line) as Task))

/** Reaches the pipe before it returns, so that what was said is known even of a process that was killed. */
function say(said: Said): void {
  writeSync(1, `${JSON.stringify(said)}\n`)
}

function die(): never {
  process.kill(process.pid, 'SIGKILL')
  throw new Error('killed')
}

async function run(task: Task): Promise<void> {
  const { address, keks, currentKekId, leaseMs, delayMs, act, operationId, death } = task
  const opened = await openAddress(address)
  const secondWrite = Promise.withResolvers<void>()
  let counting = false
  let calls = 0
  let writes = 0
  const mortal = interceptStore(opened.store, async ({ method, proceed }) => {
    if (counting) calls += 1
    const isLast = counting && death !== null && calls === death.call
    if (isLast && death.when === 'before') die()
    if (delayMs !== undefined) await pause(delayMs)
    const answer = await proceed()
    if (isLast) die()
    if (method === 'write') writes += 1
    if (writes === 2) secondWrite.resolve()
    return answer
  })
  const bytes = Object.entries(keks).map(([id, text]) => [id, Buffer.from(text, 'base64url')] as const)
  const vault = await openVault({
    store: dividedStore(mortal, task),
    namespace: 'gateway',
    keys: explicitKeys({ keks: Object.fromEntries(bytes), currentKekId }),
    leaseMs,
  })
  if (act === 'work') return
  const begun =
    act === 'resume'
      ? null
      : await begin(vault, task, () => {
          counting = true
        })
  if (act === 'cancel') await secondWrite.promise
  counting = true
  if (act === 'resume') await vault.rotations.resume(operationId ?? '')
  if (act === 'cancel') await cancel(vault, begun ?? '')
  const status = await endOf(opened.store, begun ?? operationId ?? '')
  const made = calls
  await vault.close()
  say({ is: 'ended', status, calls: made })
  process.exit(0)
}

/** Cancels a rotation, which may be over by then. */
async function cancel(vault: SecretVault, id: string): Promise<void> {
  try {
    await vault.rotations.cancel(id)
  } catch (error) {
    if (!isEnvelopeError(error) || error.code !== 'ERR_ROTATION_STATE') throw error
  }
}

async function begin(
  vault: SecretVault,
  { act, shards, ratePerSecond }: Task,
  count: () => void,
): Promise<string> {
  if (act === 'rotate') count()
  const rate = ratePerSecond === null ? {} : { ratePerSecond }
  return (await vault.rotate({ concurrency: shards, ...rate })).id
}

/** Waits past the store that counts: these looks are no part of the rotation. */
async function endOf(store: SecretStore, id: string): Promise<string> {
  for (;;) {
    const stored = await store.readDocument('rotation')
    const operation = JSON.parse(stored?.value ?? '{}') as { id?: string; status?: string }
    const { status = '' } = operation
    if (operation.id !== id || ['completed', 'failed', 'cancelled'].includes(status)) return status
    await pause(POLL_MS)
  }
}

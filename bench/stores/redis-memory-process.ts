/** Rotates all secrets of the vault it is told of on its input as often as it is told, and prints what it took. */
import { randomBytes } from 'node:crypto'
import { json } from 'node:stream/consumers'
import { explicitKeys, openVault } from '@talos/envelope'
import { redisStore } from '@talos/envelope-redis'
import { Redis } from 'ioredis'

interface Task {
  readonly port: number
  readonly rotations: number
  readonly keks: Readonly<Record<string, string>>
}

const task = (await json(process.stdin)) as Task
const client = new Redis(task.port)
const keks: Record<string, Uint8Array> = {}
for (const [id, text] of Object.entries(task.keks)) keks[id] = Buffer.from(text, 'base64url')

async function rotate(currentKekId: string): Promise<number> {
  keks[currentKekId] = randomBytes(32)
  const ended = Promise.withResolvers<number>()
  const vault = await openVault({
    store: redisStore({ client }),
    namespace: 'bench',
    keys: explicitKeys({ keks, currentKekId }),
    onEvent(event) {
      if (event.type !== 'rotation' || event.status === 'running') return
      if (event.status === 'completed') ended.resolve(event.rewrapped)
      else ended.reject(new Error(`The rotation ended as ${event.status}.`))
    },
  })
  await vault.rotate()
  const rewrapped = await ended.promise
  await vault.close()
  return rewrapped
}

const began = performance.now()
let rewrapped = 0
for (let n = 1; n <= task.rotations; n += 1) rewrapped += await rotate(`next${n}`)
const milliseconds = Math.round(performance.now() - began)
client.disconnect()
console.log(JSON.stringify({ rewrapped, milliseconds, peakBytes: process.resourceUsage().maxRSS * 1_024 }))

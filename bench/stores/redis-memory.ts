import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { redisStore } from '@talos/envelope-redis'
import { Redis } from 'ioredis'
import { RedisServer } from '../../test/services/redis-server.ts'
import { Rotations } from './rotations.ts'

/** How much a process needs that rotates a vault of so many secrets, again and again. */
export interface MemoryRow {
  readonly secrets: number
  /** So many that each process re-wraps the same number of records: what a collector leaves lying about depends on that. */
  readonly rotations: number
  /** The most memory it ever had, of the operating system's view. */
  readonly peakBytes: number
  readonly milliseconds: number
}

/**
 * Has a process of its own rotate all secrets of a vault, for each number of them.
 *
 * @returns What each took.
 */
export async function redisMemoryRows(numbers: readonly number[] = [10_000, 200_000]): Promise<MemoryRow[]> {
  const rows: MemoryRow[] = []
  const most = Math.max(...numbers)
  for (const secrets of numbers) {
    const server = await RedisServer.start({ appendonly: 'no' })
    const client = new Redis(server.port)
    try {
      const rotations = new Rotations()
      await rotations.fill(redisStore({ client }), secrets, 64)
      const keks = Object.fromEntries(
        Object.entries(rotations.keks).map(([id, bytes]) => [id, Buffer.from(bytes).toString('base64url')]),
      )
      rows.push(await rotateApart(server.port, secrets, Math.round(most / secrets), keks))
    } finally {
      client.disconnect()
      await server.stop()
    }
  }
  return rows
}

async function rotateApart(
  port: number,
  secrets: number,
  rotations: number,
  keks: Record<string, string>,
): Promise<MemoryRow> {
  const program = fileURLToPath(new URL('./redis-memory-process.ts', import.meta.url))
  const child = spawn(process.execPath, ['--conditions=@talos/source', program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdin.end(JSON.stringify({ port, rotations, keks }))
  let printed = ''
  child.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString()
  })
  const [code] = (await once(child, 'close')) as [number]
  if (code !== 0) throw new Error(`The process that rotates ended with ${code}.`)
  const { rewrapped, ...figures } = JSON.parse(printed) as {
    rewrapped: number
    peakBytes: number
    milliseconds: number
  }
  if (rewrapped !== secrets * rotations)
    throw new Error(`It re-wrapped ${rewrapped} of ${secrets * rotations}.`)
  return { secrets, rotations, ...figures }
}

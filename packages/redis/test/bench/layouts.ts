/**
 * Measures what the layout of the store costs beside others:
 *
 *     node --conditions=@talos/source packages/redis/test/bench/layouts.ts
 *
 * Sealed bytes as a field of one hash or as a key of their own; names in one sorted set or in one for each KEK.
 */
import { Redis } from 'ioredis'
import { RedisServer } from '../../../../test/services/redis-server.ts'

const RECORDS = 100_000
const BATCH = 500
const ROUNDS = 5
const WRAP = 'w'.repeat(90)
const META = 'm'.repeat(150)

type Sealed = 'field' | 'key'
type Names = 'one' | 'by KEK'

/** ARGV: expected wrap, new wrap, meta, former KEK's set, new KEK's set, then names. Sets are left out where all names are in one. */
const REWRAP = `
local from, to, meta = ARGV[1], ARGV[2], ARGV[3]
local names = { unpack(ARGV, 4) }
local there, wraps, metas, come = redis.call('HMGET', KEYS[1], unpack(names)), {}, {}, {}
for n, name in ipairs(names) do
  if there[n] == from then
    wraps[#wraps + 1], wraps[#wraps + 2] = name, to
    metas[#metas + 1], metas[#metas + 2] = name, meta
    come[#come + 1], come[#come + 2] = 0, name
  end
end
redis.call('HSET', KEYS[1], unpack(wraps))
redis.call('HSET', KEYS[2], unpack(metas))
if KEYS[3] then
  redis.call('ZREM', KEYS[3], unpack(names))
  redis.call('ZADD', KEYS[4], unpack(come))
end
return #wraps / 2
`

function nameOf(n: number): string {
  return `upstream-${String(n).padStart(7, '0')}/prod`
}

async function fill(client: Redis, sealed: Sealed, names: Names, bytes: number): Promise<number> {
  await client.flushall()
  const before = await usedBytes(client)
  const value = Buffer.alloc(bytes, 7)
  const index = names === 'one' ? '{t}:names' : '{t}:names:v1'
  for (let from = 0; from < RECORDS; from += BATCH) {
    const part = client.pipeline()
    for (let n = from; n < from + BATCH; n += 1) {
      const name = nameOf(n)
      part.hset('{t}:wraps', name, `v1${WRAP}`).hset('{t}:metas', name, META).zadd(index, 0, name)
      if (sealed === 'field') part.hset('{t}:sealed', name, value)
      else part.set(`{t}:sealed:${name}`, value)
    }
    await part.exec()
  }
  return ((await usedBytes(client)) - before) / RECORDS
}

/** Re-wraps everything from one KEK to the other. @returns Microseconds for each record */
async function rewrap(client: Redis, names: Names, from: string, to: string): Promise<number> {
  const sets = names === 'one' ? [] : [`{t}:names:${from}`, `{t}:names:${to}`]
  const keys = ['{t}:wraps', '{t}:metas', ...sets]
  const began = performance.now()
  for (let at = 0; at < RECORDS; at += BATCH) {
    const part = Array.from({ length: BATCH }, (_, n) => nameOf(at + n))
    const done = await client.eval(
      REWRAP,
      keys.length,
      ...keys,
      `${from}${WRAP}`,
      `${to}${WRAP}`,
      META,
      ...part,
    )
    if (done !== BATCH) throw new Error(`${done} of ${BATCH} were re-wrapped`)
  }
  return ((performance.now() - began) * 1_000) / RECORDS
}

async function usedBytes(client: Redis): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1])
}

const server = await RedisServer.start({ appendonly: 'no' })
const client = new Redis(server.port)
try {
  for (const bytes of [92, 8_192]) {
    for (const [sealed, names] of [
      ['field', 'one'],
      ['key', 'one'],
      ['field', 'by KEK'],
    ] as const) {
      const memory = await fill(client, sealed, names, bytes)
      const times: number[] = []
      for (let round = 0; round < ROUNDS; round += 1) {
        times.push(await rewrap(client, names, round % 2 ? 'v2' : 'v1', round % 2 ? 'v1' : 'v2'))
      }
      const [fastest, slowest] = [Math.min(...times).toFixed(1), Math.max(...times).toFixed(1)]
      console.log(
        `${bytes} sealed bytes, sealed by ${sealed}, names in ${names}: ${memory.toFixed(0)} bytes a secret, re-wrap ${fastest} to ${slowest} µs`,
      )
    }
  }
} finally {
  client.disconnect()
  await server.stop()
}

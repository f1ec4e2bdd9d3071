import { createHash } from 'node:crypto'
import type { Change } from '@talos/envelope'
import { type RedisStore, redisStore } from '@talos/envelope-redis'
import { Redis } from 'ioredis'
import { RedisServer } from '../../test/services/redis-server.ts'
import { sampleValue } from '../codec/sample.ts'
import type { Comparison, Heat } from '../measure/report.ts'
import type { Contender } from '../measure/rounds.ts'
import { Rotations, recordMeta, recordName } from './rotations.ts'

const VALUE_BYTES = 64
/** Records that a vault rotates. */
const RECORDS = 20_000
/** Records that are re-wrapped without cryptography, by batches or one by one. */
const MOVED = 2_000
const BATCH = 1_000
const CALLS = 400

/** One record for each call of a script, which checks guard and wrap text as the store does. */
const EACH = `
local revision = redis.call('HGET', KEYS[3], 'r:keyring')
if not revision or string.match(revision, '^%d+') ~= ARGV[1] then return 'fenced' end
if redis.call('HGET', KEYS[1], ARGV[2]) ~= ARGV[3] then return 'changed' end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[4])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[5])
return 'done'
`
const SHA = createHash('sha1').update(EACH).digest('hex')
const KEYS = ['{moved}:wraps', '{moved}:metas', '{moved}:documents']

/**
 * The figures of the Redis store: re-wraps in batches beside one script for each record, a rotation by a vault, and `get`
 * and `put`. On a server that writes its append-only file before each answer, as the level `strong` asks, and beside it on one
 * that writes no file and so saves the loop the most that can be saved.
 *
 * @returns Two heats, their servers filled.
 */
export async function* redisHeats(): AsyncGenerator<Heat> {
  const servers = [await RedisServer.start(), await RedisServer.start({ appendonly: 'no' })] as const
  const [client, forgetful] = [new Redis(servers[0].port), new Redis(servers[1].port)]
  try {
    const vaults = redisStore({ client, prefix: 'vaults' })
    const rotations = new Rotations()
    await rotations.fill(vaults, RECORDS, VALUE_BYTES)
    const contenders: readonly Contender[] = [
      ...(await moving(client, 'strong')),
      ...(await moving(forgetful, 'no file')),
      {
        name: 'redis rotation',
        values: RECORDS,
        calls: 1,
        prepare: () => rotations.promoteNext(vaults),
        run: () => rotations.run(),
      },
    ]
    yield { title: '', contenders, comparisons: redisRewrapComparisons() }
    yield* accessHeats(client, vaults, rotations)
  } finally {
    for (const each of [client, forgetful]) each.disconnect()
    for (const server of servers) await server.stop()
  }
}

/** Lists the ratios of re-wraps. */
export function redisRewrapComparisons(): readonly Comparison[] {
  const [batches, each] = [
    (file: string) => [`redis batches, ${file}`],
    (file: string) => [`redis each, ${file}`],
  ]
  return [
    { name: 'redis/rewrap/400B/scriptEach', ours: batches('strong'), theirs: each('strong') },
    { name: 'redis/rewrap/400B/scriptEach/noFile', ours: batches('no file'), theirs: each('no file') },
    { name: 'redis/rotation/400B/scriptEach', ours: ['redis rotation'], theirs: each('strong') },
  ]
}

async function moving(client: Redis, file: string): Promise<readonly Contender[]> {
  const records = await Moving.of(redisStore({ client, prefix: 'moved' }))
  await client.script('LOAD', EACH)
  return [
    { name: `redis batches, ${file}`, values: MOVED, calls: 1, run: () => records.batches() },
    { name: `redis each, ${file}`, values: MOVED, calls: 1, run: () => records.each(client) },
  ]
}

/** Lists the ratios of `get` and `put`. */
export function redisAccessComparisons(): readonly Comparison[] {
  return ['get', 'put'].map((verb) => ({
    name: `redis/${verb}/400B/byHand`,
    ours: [`redis ${verb}`],
    theirs: [`redis ${verb} by hand`],
    tells: 'time',
  }))
}

/** Records that are re-wrapped from one wrap text to the next, whoever does it. */
class Moving {
  readonly #store: RedisStore
  readonly #meta = recordMeta('2026-01-02T00:00:00.000Z')
  #turn = 0

  private constructor(store: RedisStore) {
    this.#store = store
  }

  static async of(store: RedisStore): Promise<Moving> {
    const moving = new Moving(store)
    await store.writeDocument('keyring', 0, '{}')
    const sealed = new Uint8Array(28 + VALUE_BYTES)
    for (let from = 0; from < MOVED; from += BATCH) {
      const changes = moving.#names(from).map(
        (name): Change => ({
          kind: 'create',
          secret: { name, wrap: moving.#wrap(name), meta: moving.#meta, sealed },
        }),
      )
      await store.write(1, changes)
    }
    return moving
  }

  async batches(): Promise<void> {
    const before = this.#turn
    this.#turn += 1
    for (let from = 0; from < MOVED; from += BATCH) {
      const changes = this.#names(from).map(
        (name): Change => ({
          kind: 'rewrap',
          expectedWrap: this.#wrap(name, before),
          secret: { name, wrap: this.#wrap(name), meta: this.#meta },
        }),
      )
      const outcomes = await this.#store.write(1, changes)
      if (outcomes.some((outcome) => outcome !== 'done'))
        throw new Error('The store did not re-wrap a record.')
    }
  }

  async each(client: Redis): Promise<void> {
    const before = this.#turn
    this.#turn += 1
    for (let from = 0; from < MOVED; from += BATCH) {
      for (const name of this.#names(from)) {
        const wraps = [this.#wrap(name, before), this.#wrap(name)]
        const outcome = await client.evalsha(SHA, KEYS.length, ...KEYS, '1', name, ...wraps, this.#meta)
        if (outcome !== 'done') throw new Error('The script did not re-wrap a record.')
      }
    }
  }

  #names(from: number): string[] {
    return Array.from({ length: BATCH }, (_, n) => recordName(from + n))
  }

  /** As long as a vault's, and of another KEK in each turn. */
  #wrap(name: string, turn = this.#turn): string {
    return `talos:v2:k${String(turn).padStart(4, '0')}:${name.padEnd(76, 'w').replace('/', '-')}`
  }
}

async function* accessHeats(client: Redis, store: RedisStore, rotations: Rotations): AsyncGenerator<Heat> {
  await rotations.promoteNext(store)
  await rotations.run()
  const { vault } = rotations
  const value = sampleValue(VALUE_BYTES)
  for (let index = 0; index < RECORDS; index += 1) await client.hset('by hand', recordName(index), value)
  const contenders: readonly Contender[] = [
    timed('redis get', (name) => vault.get(name)),
    timed('redis get by hand', (name) => client.hget('by hand', name)),
    timed('redis put', (name) => vault.put(name, value)),
    timed('redis put by hand', (name) => client.hset('by hand', name, value)),
  ]
  yield { title: '', contenders, comparisons: redisAccessComparisons() }
  await rotations.close()
}

/** A contender that goes through names in an order that is not that of the records. */
function timed(name: string, run: (name: string) => unknown): Contender {
  let turn = 0
  const next = () => {
    turn += 1
    return run(recordName((turn * 7919) % RECORDS))
  }
  return { name, run: next, calls: CALLS, p50: true }
}

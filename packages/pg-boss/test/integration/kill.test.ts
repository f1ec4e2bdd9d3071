import { randomBytes } from 'node:crypto'
import { explicitKeys, openVault, type SecretVault, type ShardJob } from '@talos/envelope'
import { postgresStore } from '@talos/envelope-postgres'
import { Pool } from 'pg'
import { expect, test } from 'vitest'
import { newDatabase } from '../bosses.ts'
import { Worker } from './worker.ts'
import type { WorkerSettings } from './worker-protocol.ts'

const SECRETS = 10_000
const PROCESSES = 3

const NAMES = Array.from({ length: SECRETS }, (_, n) => `provider/${n}`)
const KEKS = ['v1', 'v2', 'v3'].map((id) => ({ id, bytes: randomBytes(32) }))

/** The first KEKs, the last of them as current: as bytes, and as a process gets them. */
function keysUpTo(last: number) {
  const held = KEKS.slice(0, last)
  const texts = held.map(({ id, bytes }) => [`TALOS_KEK_${id}`, bytes.toString('base64url')] as const)
  const currentKekId = `v${last}`
  return {
    source: explicitKeys({
      keks: Object.fromEntries(held.map(({ id, bytes }) => [id, bytes])),
      currentKekId,
    }),
    environment: Object.fromEntries([...texts, ['TALOS_CURRENT_KEK_ID', currentKekId]]),
  }
}

async function withVault(url: string, last: number, task: (vault: SecretVault) => Promise<void>) {
  const pool = new Pool({ connectionString: url, max: 20 })
  const store = postgresStore({ pool })
  await store.migrate()
  const vault = await openVault({ store, keys: keysUpTo(last).source, namespace: 'workers', leaseMs: 2_000 })
  await task(vault)
  await vault.close()
  await pool.end()
}

async function filledDatabase(): Promise<string> {
  const url = await newDatabase()
  await withVault(url, 1, async (vault) => {
    const names = NAMES.values()
    const putAll = async (): Promise<void> => {
      for (const name of names) await vault.put(name, `value of ${name}`)
    }
    await Promise.all(Array.from({ length: 32 }, putAll))
  })
  return url
}

/** How many secrets open with their value, by the KEK they are under. */
async function opened(url: string, last: number): Promise<Record<string, number>> {
  const found: Record<string, number> = {}
  await withVault(url, last, async (vault) => {
    for (let at = 0; at < NAMES.length; at += 100) {
      const names = NAMES.slice(at, at + 100)
      for (const [n, secret] of (await vault.getMany(names)).entries()) {
        const kekId = secret?.text() === `value of ${names[n]}` ? secret.kekId : 'wrong'
        found[kekId] = (found[kekId] ?? 0) + 1
      }
    }
  })
  return found
}

/** Starts three processes, has one begin a rotation, and kills it in the middle of the shards it works on. */
async function rotateWithAKill(url: string, engine: WorkerSettings['engine'], last: number) {
  const { environment } = keysUpTo(last)
  const workers = Array.from(
    { length: PROCESSES },
    (_, n) => new Worker({ url, engine, freezes: n === 0 }, environment),
  )
  const [victim, ...others] = workers as [Worker, Worker, Worker]
  for (const worker of workers) await worker.heard('open')
  const began = performance.now()
  victim.tell('rotate')
  const { id } = await victim.heard('rotating')
  others[0]?.tell(`follow ${id}`)
  await victim.heard('frozen')
  const killed = performance.now()
  await victim.kill()
  const end = await (others[0] as Worker).heard('progress', ({ status }) => status !== 'running')
  const now = performance.now()
  for (const worker of others) await worker.close()
  const steps = (others[0] as Worker).all('progress')
  return {
    ...{ victim, others, end },
    shards: Math.max(...steps.map(({ shards }) => shards.total)),
    seconds: { all: (now - began) / 1_000, fromKill: (now - killed) / 1_000 },
    frozen: victim.all('frozen').reduce((sum, { records }) => sum + records, 0),
  }
}

function keyOf({ pass, shard }: ShardJob): string {
  return `${pass}/${shard}`
}

test('a process that is killed in the middle of its shards loses nothing: others redo them, and every secret opens', async () => {
  const url = await filledDatabase()

  const bossed = await rotateWithAKill(url, 'pg-boss', 2)
  expect(bossed.end).toMatchObject({ status: 'completed', totals: { failed: 0 } })
  expect(await opened(url, 2)).toEqual({ v2: SECRETS })
  const begun = [bossed.victim, ...bossed.others].flatMap((worker) => worker.all('began'))
  const times = Map.groupBy(begun, ({ job }) => keyOf(job))
  const twice = [...times].filter(([, starts]) => starts.length > 1).map(([key]) => key)
  const interrupted = bossed.victim.all('began').map(({ job }) => keyOf(job))
  const redone = bossed.others.flatMap((worker) =>
    worker
      .all('ended')
      .filter(({ outcome }) => outcome === 'done')
      .map(({ job }) => keyOf(job)),
  )
  expect(redone).toEqual(expect.arrayContaining(interrupted))
  expect(twice).toEqual(expect.arrayContaining(interrupted))
  // What the killed process wrote was seen as done by whoever redid its shards.
  expect(bossed.end.totals.rewrapped).toBeLessThanOrEqual(SECRETS - bossed.frozen)

  const inProcess = await rotateWithAKill(url, 'in process', 3)
  expect(inProcess.end).toMatchObject({ status: 'completed', totals: { failed: 0 } })
  expect(await opened(url, 3)).toEqual({ v3: SECRETS })
  const told = ({ seconds }: typeof bossed) =>
    `${seconds.all.toFixed(1)} s, of these ${seconds.fromKill.toFixed(1)} s after the kill`
  console.log(
    `${SECRETS} secrets, ${PROCESSES} processes, 1 killed in the middle of ${interrupted.length} shards. pg-boss: ${told(bossed)}; ` +
      `${bossed.shards} shards, ${bossed.end.pass} passes, ${begun.length} jobs begun, ${twice.length} of them twice. ` +
      `In process: ${told(inProcess)}`,
  )
}, 120_000)

import { setInterval } from 'node:timers/promises'
import { explicitKeys, type KeySource, openVault, type SecretVault, type VaultEvent } from '@talos/envelope'
import { expect, test, vi } from 'vitest'
import { type DatabaseFile, databaseFile } from '../database-file.ts'

const READS_PER_SECOND = 200
const WRITES_PER_SECOND = 50
const TICK_MS = 20
const SECRETS = 200
const RELOADS = 20
/** So that the reloads are spread over some seconds. */
const READS_PER_RELOAD = 60

const NAMESPACE = 'gateway'
const kekBytes = (number: number): Uint8Array =>
  Uint8Array.from({ length: 32 }, (_, index) => (index * 7 + number * 37 + 129) % 256)

/** An instance whose KEKs are exchanged while it works. */
async function instance(file: DatabaseFile) {
  let held: readonly number[] = [1]
  let wish = 1
  const events: VaultEvent[] = []
  const keys: KeySource = {
    load: (options) => {
      const keks = Object.fromEntries(held.map((number) => [`v${number}`, kekBytes(number)]))
      return explicitKeys({ currentKekId: `v${wish}`, keks }).load(options)
    },
  }
  const onEvent = (event: VaultEvent): void => void events.push(event)
  const vault = await openVault({ store: file.store(), keys, namespace: NAMESPACE, leaseMs: 600, onEvent })
  let reloads = 0
  return {
    vault,
    events,
    reloads: () => reloads,
    async reload(nextHeld: readonly number[], nextWish: number) {
      held = nextHeld
      wish = nextWish
      await vault.reload()
      reloads += 1
    },
  }
}

test('hot reload under load: no call fails while KEKs are added, promoted and removed', async () => {
  const file = databaseFile()
  await file.migrated()
  const first = await instance(file)
  const second = await instance(file)
  const instances = [first, second]
  const vaultAt = (call: number): SecretVault => (call % 2 === 0 ? first : second).vault
  for (let n = 0; n < SECRETS; n += 1) await first.vault.put(`n${n}`, `n${n} 0`)

  const failures: string[] = []
  const latenciesMs: number[] = []
  const running = new Set<Promise<void>>()
  const timed = (call: () => Promise<boolean>): void => {
    const began = performance.now()
    const done = call()
      .then((isRight) => {
        if (!isRight) failures.push('another value than the one of that name')
      })
      .catch((error: unknown) => void failures.push(String(error)))
      .finally(() => {
        latenciesMs.push(performance.now() - began)
        running.delete(done)
      })
    running.add(done)
  }
  let reads = 0
  let writes = 0
  const read = async (call: number): Promise<boolean> => {
    const name = `n${call % SECRETS}`
    return (await vaultAt(call).get(name))?.text().startsWith(`${name} `) === true
  }
  const write = async (call: number): Promise<boolean> => {
    const name = `n${(call * 7) % SECRETS}`
    return (await vaultAt(call).put(name, `${name} ${call}`)).outcome === 'replaced'
  }
  const ending = new AbortController()
  const began = performance.now()
  const load = (async () => {
    for await (const _ of setInterval(TICK_MS)) {
      const seconds = (performance.now() - began) / 1_000
      for (; reads < seconds * READS_PER_SECOND; reads += 1) timed(() => read(reads))
      for (; writes < seconds * WRITES_PER_SECOND; writes += 1) timed(() => write(writes))
      if (ending.signal.aborted) return
    }
  })()

  let rotations = 0
  const reloaded = async (held: readonly number[], wish: number): Promise<void> => {
    await Promise.all(instances.map((each) => each.reload(held, wish)))
    const enough = reads + READS_PER_RELOAD
    await vi.waitFor(() => expect(reads).toBeGreaterThan(enough), { timeout: 10_000, interval: 10 })
  }
  for (let current = 1; first.reloads() < RELOADS; current += 1) {
    const next = current + 1
    await reloaded([current, next], current)
    await reloaded([current, next], next)
    await vi.waitFor(
      async () => {
        for (const { vault } of instances) expect((await vault.status()).currentKekId).toBe(`v${next}`)
      },
      { timeout: 10_000, interval: 20 },
    )
    const { id } = await vaultAt(current).rotate()
    await vi.waitFor(async () => expect((await first.vault.rotations.get(id))?.status).toBe('completed'), {
      timeout: 30_000,
      interval: 20,
    })
    rotations += 1
    await reloaded([next], next)
  }
  ending.abort()
  await load
  const seconds = (performance.now() - began) / 1_000
  await Promise.all(running)
  const { loadedKekIds, ready } = await first.vault.status()
  for (const { vault } of instances) await vault.close()

  const sorted = latenciesMs.sort((left, right) => left - right)
  const at = (share: number): string => (sorted[Math.ceil(share * sorted.length) - 1] ?? 0).toFixed(1)
  const faults = instances.flatMap(({ events }) => events.filter(({ type }) => type === 'fault'))
  console.log(
    `hot reload under load: ${reads} reads and ${writes} writes in ${seconds.toFixed(1)} s on 2 instances, ` +
      `${first.reloads()} reloads each, ${rotations} KEKs promoted, rotated to and the former removed: ${failures.length} failed; ` +
      `calls p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms`,
  )
  expect(failures).toEqual([])
  expect(faults).toEqual([])
  expect([ready, loadedKekIds]).toEqual([true, [`v${rotations + 1}`]])
  expect(first.reloads()).toBeGreaterThanOrEqual(RELOADS)
  expect(sorted.length).toBe(reads + writes)
}, 90_000)

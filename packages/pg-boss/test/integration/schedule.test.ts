import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  directoryKeys,
  type EventListener,
  generateKek,
  type OpenVaultOptions,
  openVault,
  type SecretVault,
} from '@talos/envelope'
import { pgBossRunner } from '@talos/envelope-pg-boss'
import { postgresStore } from '@talos/envelope-postgres'
import { Pool } from 'pg'
import { type PgBoss, TestClock } from 'pg-boss'
import { expect, onTestFinished, test, vi } from 'vitest'
import { newDatabase, startedBoss } from '../bosses.ts'

const WAIT = { timeout: 20_000, interval: 20 }

/** A directory of KEKs, as a secret manager mounts it, to which a new one can be added. */
async function kekDirectory() {
  const path = await mkdtemp(join(tmpdir(), 'keks-'))
  onTestFinished(() => rm(path, { recursive: true }))
  const currentKekIdFile = join(path, '.current')
  return {
    source: () => directoryKeys({ path, currentKekIdFile }),
    async provide(id: string) {
      await writeFile(join(path, id), generateKek())
      await writeFile(currentKekIdFile, id)
    },
  }
}

async function vaultOn(
  url: string,
  boss: PgBoss,
  options: Pick<OpenVaultOptions, 'keys'> & Partial<OpenVaultOptions>,
) {
  const pool = new Pool({ connectionString: url })
  const store = postgresStore({ pool })
  await store.migrate()
  const runner = pgBossRunner({ boss, pollingIntervalSeconds: 0.5 })
  const vault = await openVault({ store, namespace: 'schedule', watchKeys: false, runner, ...options })
  onTestFinished(async () => {
    await vault.close()
    await pool.end()
  })
  return vault
}

async function kekIds(vault: SecretVault): Promise<(string | null)[]> {
  const found: (string | null)[] = []
  for await (const { kekId } of vault.list()) found.push(kekId)
  return found
}

test('a schedule of pg-boss rotates every 90 days', async () => {
  const url = await newDatabase()
  const keks = await kekDirectory()
  await keks.provide('v1')
  const vault = await vaultOn(url, await startedBoss(url), { keys: keks.source() })
  await vault.put('openai/prod', 'sk-one')

  const clock = new TestClock('2026-01-01T12:00:00Z')
  const seldom = { superviseIntervalSeconds: 600, monitorIntervalSeconds: 600 }
  const scheduler = await startedBoss(url, { schema: 'scheduler', clock, ...seldom })
  await scheduler.createQueue('rotate-kek', { policy: 'exclusive' })
  await scheduler.schedule('rotate-kek', 'DTSTART:20260101T030000Z\nRRULE:FREQ=DAILY;INTERVAL=90')
  await scheduler.work('rotate-kek', async () => {
    await keks.provide('v2')
    await vault.reload()
    await vault.rotate({ reason: 'every 90 days' })
  })

  await clock.setTime('2026-03-31T02:59:30Z')
  await clock.tick(60_000)
  expect((await vault.status()).currentKekId).toBe('v1')
  await clock.setTime('2026-04-01T02:59:30Z')
  await clock.tick(60_000)
  await vi.waitFor(async () => expect(await kekIds(vault)).toEqual(['v2']), WAIT)
  expect((await vault.get('openai/prod'))?.text()).toBe('sk-one')
  const [operation, ...earlier] = await vault.rotations.list()
  expect([operation?.targetKekId, earlier]).toEqual(['v2', []])
})

test('a KEK that has become too old is replaced once, however many instances say so', async () => {
  const url = await newDatabase()
  const boss = await startedBoss(url)
  await boss.createQueue('rotate-kek', { policy: 'exclusive' })
  const keks = await kekDirectory()
  await keks.provide('v1')
  const due: Promise<unknown>[] = []
  const onEvent: EventListener = (event) => {
    if (event.type !== 'rotation_due' || event.kekId !== 'v1') return
    due.push(boss.send('rotate-kek', { kekId: event.kekId }, { singletonKey: event.kekId }))
  }
  const options = { keys: keks.source(), leaseMs: 1_000, rotationDueAfterMs: 500, onEvent }
  const vaults = [await vaultOn(url, boss, options), await vaultOn(url, boss, options)] as const
  await vaults[0].put('openai/prod', 'sk-one')
  await vi.waitFor(() => expect(due).toHaveLength(2), WAIT)
  await Promise.all(due)
  expect(await boss.findJobs('rotate-kek')).toHaveLength(1)

  await boss.work<{ kekId: string }>('rotate-kek', { pollingIntervalSeconds: 0.5 }, async ([job]) => {
    const { currentKekId } = await vaults[0].status()
    // Somebody has replaced it meanwhile.
    if (currentKekId !== job?.data.kekId) return
    await keks.provide('v2')
    for (const vault of vaults) await vault.reload()
    await vaults[0].rotate({ reason: 'rotation_due' })
  })
  await vi.waitFor(async () => expect(await kekIds(vaults[1])).toEqual(['v2']), WAIT)
  expect(await vaults[0].rotations.list()).toHaveLength(1)
})

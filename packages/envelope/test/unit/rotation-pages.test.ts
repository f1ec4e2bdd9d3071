import type { ScanQuery, SecretStore } from '@talos/envelope'
import { interceptStore } from '@talos/envelope/testing'
import { describe, expect, test } from 'vitest'
import {
  BOTH_WISH_V2,
  finished,
  ONLY_V1,
  type TestDomain,
  testDomain,
  unavailable,
} from '../support/vaults.ts'

const SECRETS = 5_000

async function seeded(secrets: number): Promise<TestDomain> {
  const domain = testDomain({ recordsPerShard: 100_000 })
  const vault = await domain.open(ONLY_V1)
  for (let n = 0; n < secrets; n += 1) await vault.put(`secret-${n}`, `value ${n}`)
  await vault.close()
  return domain
}

/** Counts the pages that are asked for and the batches that are begun, and may refuse a page. */
function watched(inner: SecretStore, refuses: (page: number) => boolean = () => false) {
  const limits: number[] = []
  /** At each page: how many were asked for that no batch has begun with, this one included. */
  const open: number[] = []
  let batches = 0
  const store = interceptStore(inner, async ({ method, args, proceed }) => {
    if (method === 'scan' && (args[0] as ScanQuery).exceptKekId === 'v2') {
      limits.push((args[0] as ScanQuery).limit)
      open.push(limits.length - batches)
      if (refuses(limits.length)) throw unavailable()
    }
    if (method === 'write') batches += 1
    return await proceed()
  })
  return { store, limits, open }
}

describe('the pages of a rotation', () => {
  test('begin short and double, and are asked for at most two ahead of the one that is worked on', async () => {
    const domain = await seeded(SECRETS)
    const { store, limits, open } = watched(domain.store)
    const vault = await domain.open(BOTH_WISH_V2, { store })
    const { id } = await vault.rotate()
    expect((await finished(domain, vault, id)).totals).toMatchObject({ scanned: SECRETS, rewrapped: SECRETS })
    expect(limits[0]).toBe(250)
    expect(limits).toContain(500)
    expect(Math.max(...limits)).toBe(1_000)
    expect(Math.max(...open)).toBe(3)
    await vault.close()
  })

  test.each([2, 3, 5])('are asked for again when they failed before their turn: page %i', async (refused) => {
    const domain = await seeded(2_000)
    const { store, limits } = watched(domain.store, (page) => page === refused)
    const vault = await domain.open(BOTH_WISH_V2, { store })
    const { id } = await vault.rotate()
    expect(await finished(domain, vault, id)).toMatchObject({
      status: 'completed',
      totals: { scanned: 2_000, rewrapped: 2_000, changed: 0 },
    })
    expect(limits.length).toBeGreaterThan(refused)
    expect((await vault.status()).staleCounts).toEqual({ v1: 0 })
    await vault.close()
  })

  test('grow under a rate as well, where none is asked for before its turn', async () => {
    const domain = await seeded(SECRETS)
    const { store, limits, open } = watched(domain.store)
    const vault = await domain.open(BOTH_WISH_V2, { store })
    const { id } = await vault.rotate({ ratePerSecond: 100_000 })
    expect((await finished(domain, vault, id)).totals).toMatchObject({ scanned: SECRETS, rewrapped: SECRETS })
    expect(Math.max(...limits)).toBe(1_000)
    expect(Math.max(...open)).toBe(1)
    await vault.close()
  })
})

test('the progress of a slow rotation is shown before the next secret is waited for', async () => {
  const domain = await seeded(3)
  const vault = await domain.open(BOTH_WISH_V2)
  const { id } = await vault.rotate({ ratePerSecond: 1 })
  const seen: (number | undefined)[] = []
  for (let step = 0; step < 3; step += 1) {
    await domain.clock.settle()
    seen.push((await vault.rotations.get(id))?.totals.rewrapped)
    await domain.clock.advance(1_000)
  }
  expect(seen).toEqual([1, 2, 3])
  await vault.close()
})

import { readFileSync } from 'node:fs'
import { MemoryStore } from '@talos/envelope'
import { expect, it } from 'vitest'
import { Rotations, recordName } from '../stores/rotations.ts'
import { STORES_TARGETS, storesComparisons } from '../stores/suite.ts'

const names = storesComparisons().map(({ name }) => name)

it('measures exactly what its README lists', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const listed = [...readme.matchAll(/^\| `((?:postgres|sqlite|redis|dynamodb)\/[^`]+)` \|/gm)].map(
    ([, name]) => name,
  )
  expect([...listed].sort()).toEqual([...names].sort())
})

it('names each ratio once, and has targets for ratios it measures only', () => {
  expect(new Set(names).size).toBe(names.length)
  expect(names).toEqual(expect.arrayContaining(Object.keys(STORES_TARGETS)))
})

it('fills a store with records that a vault opens', async () => {
  const store = new MemoryStore()
  const rotations = new Rotations()
  await rotations.fill(store, 3, 64)
  const vault = await rotations.openVault(store)
  expect((await vault.get(recordName(2)))?.text()).toMatch(/^[\w-]{64}$/)
  await vault.close()
})

it('rotates every record, to another KEK each time', async () => {
  const store = new MemoryStore()
  const rotations = new Rotations()
  await rotations.fill(store, 1_000, 64)
  for (let turn = 0; turn < 2; turn += 1) {
    await rotations.promoteNext(store)
    await rotations.run()
    expect(await store.census()).toEqual(new Map([[rotations.currentKekId, 1_000]]))
  }
  expect(rotations.currentKekId).toBe('k0003')
  await rotations.close()
})

it('refuses to report a rotation that left records out', async () => {
  const store = new MemoryStore()
  const rotations = new Rotations()
  await rotations.fill(store, 10, 64)
  await rotations.promoteNext(store)
  const [record] = await store.read([recordName(4)])
  await store.write(0, [{ kind: 'delete', expectedWrap: record?.wrap ?? '', name: recordName(4) }])
  await expect(rotations.run()).rejects.toThrow('The rotation re-wrapped 9 records of 10.')
  await rotations.close()
})

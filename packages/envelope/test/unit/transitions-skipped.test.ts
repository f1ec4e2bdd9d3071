import { expect, onTestFinished, test } from 'vitest'
import { keys, ONLY_V1, testDomain, V1, V2 } from '../support/vaults.ts'

test('a promotion that skips instances names every one of them in the audit', async () => {
  const domain = testDomain()
  const vault = await domain.open(keys('v1', { v1: V1, v2: V2 }))
  onTestFinished(() => vault.close())
  const hung: string[] = []
  for (let index = 0; index < 10; index += 1) {
    const other = await domain.open(ONLY_V1, { process: `hung/${index}` })
    onTestFinished(() => other.close())
    hung.push(other.instanceId)
  }
  await vault.keks.promote('v2', { skipInstances: hung, reason: 'they hang' })
  const { items } = await vault.auditEvents()
  const promoted = items.filter(({ action }) => action === 'promote')
  expect(promoted.map(({ phase }) => phase)).toEqual(['done', 'intent'])
  for (const { details } of promoted) {
    const named = Object.entries(details).filter(([name]) => name.startsWith('skippedInstances'))
    expect(named.flatMap(([, ids]) => String(ids).split(' '))).toEqual(hung)
  }
})

test('a promotion refuses to skip what cannot be named in the audit, and changes nothing', async () => {
  const domain = testDomain()
  const vault = await domain.open(keys('v1', { v1: V1, v2: V2 }))
  onTestFinished(() => vault.close())
  const before = await domain.store.readDocument('keyring')
  const many = Array.from({ length: 37 }, () => vault.instanceId)
  for (const skipInstances of [many, ['two words'], [''], ['x'.repeat(37)]]) {
    const promoting = vault.keks.promote('v2', { skipInstances, reason: 'they hang' })
    await expect(promoting).rejects.toThrow(TypeError)
    expect(await domain.store.readDocument('keyring')).toEqual(before)
  }
})

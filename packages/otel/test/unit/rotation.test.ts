import { MemoryStore } from '@talos/envelope'
import { expect, test } from 'vitest'
import { pointOf, short, type TestSdk, testSdk } from '../support/sdk.ts'
import { keys, open } from '../support/vaults.ts'

const RECORDS = 700

test('what two instances report of one rotation adds up to it, and a rehearsal before it counts as none', async () => {
  const store = new MemoryStore({ level: 'strong' })
  const first = await open({}, { store })
  for (let n = 0; n < RECORDS; n += 1) await first.put(`name-${n}`, 'value')
  await first.close()

  const sdks = [testSdk(), testSdk()]
  const both = keys('v2', 'v1')
  const vaults = []
  for (const { meterProvider, tracerProvider } of sdks)
    vaults.push(await open({ meterProvider, tracerProvider }, { store, keys: both }))
  const [vault] = vaults
  if (vault === undefined) throw new Error('no vault was opened')
  const rehearsal = await vault.rotate({ dryRun: true })
  for await (const { status } of vault.rotations.follow(rehearsal.id, { everyMs: 50 })) void status
  const { id } = await vault.rotate({ ratePerSecond: 5000 })
  let totals = { rewrapped: 0 }
  for await (const operation of vault.rotations.follow(id, { everyMs: 50 })) totals = operation.totals
  expect(totals.rewrapped).toBe(RECORDS)

  const counted = await sum(sdks, async (sdk) => {
    const collected = await sdk.collect()
    expect(pointOf(collected, 'rotation.status', { 'rotation.status': 'completed' })).toBe(1)
    return Number(pointOf(collected, 'rotation.records', { outcome: 'rewrapped' }) ?? 0)
  })
  expect(counted).toBe(RECORDS)
  for (const each of vaults) await each.close()
  const spanned = await sum(sdks, (sdk) => rewrappedBySpans(sdk, id))
  expect(spanned).toBe(RECORDS)
  const rehearsed = await sum(sdks, (sdk) => rewrappedBySpans(sdk, rehearsal.id))
  expect(rehearsed).toBe(RECORDS)
})

async function sum(
  sdks: readonly TestSdk[],
  of: (sdk: TestSdk) => number | Promise<number>,
): Promise<number> {
  let total = 0
  for (const sdk of sdks) total += await of(sdk)
  return total
}

function rewrappedBySpans(sdk: TestSdk, id: string): number {
  const spans = sdk
    .spans()
    .filter(({ name }) => name === 'talos.envelope.rotation')
    .map(({ attributes }) => short(attributes))
    .filter((attributes) => attributes['rotation.id'] === id)
  return spans.reduce((total, attributes) => total + Number(attributes['rotation.rewrapped']), 0)
}

import { metrics, trace } from '@opentelemetry/api'
import { expect, test, vi } from 'vitest'
import { pointOf, testSdk } from '../support/sdk.ts'
import { open } from '../support/vaults.ts'

test('an SDK that is registered after the vault was opened and used gets spans, counts and gauges', async () => {
  const vault = await open()
  await vault.put('first', 'value')
  const sdk = testSdk()
  sdk.register()
  await vault.put('second', 'value')
  const collected = await sdk.collect()
  expect(pointOf(collected, 'call.duration', { operation: 'put' })).toBe(1)
  expect(pointOf(collected, 'kek.records', { 'kek.id': 'v1' })).toBe(2)
  expect(sdk.spans().map(({ name }) => name)).toEqual(['talos.envelope.put'])
})

test('the gauges of a vault that nobody calls are found by an SDK that is registered later', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  try {
    const vault = await open()
    const sdk = testSdk()
    sdk.register()
    expect((await sdk.collect()).size).toBe(0)
    await vi.advanceTimersByTimeAsync(5000)
    expect(pointOf(await sdk.collect(), 'ready')).toBe(1)
    await vault.close()
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})

test('another SDK that takes the place of the first gets everything from then on', async () => {
  const [former, next] = [testSdk(), testSdk()]
  former.register()
  const vault = await open()
  await vault.put('name', 'value')
  metrics.disable()
  trace.disable()
  next.register()
  await vault.get('name')
  const collected = await next.collect()
  expect(collected.get('call.duration')?.map(({ attributes }) => attributes)).toEqual([
    { operation: 'get', outcome: 'found' },
    // The look of this very collection.
    { operation: 'status', outcome: 'done' },
  ])
  expect(next.spans().map(({ name }) => name)).toEqual(['talos.envelope.get'])
  expect((await former.collect()).has('ready')).toBe(false)
})

test('providers that are given are used instead of the registered ones', async () => {
  const [registered, given] = [testSdk(), testSdk()]
  registered.register()
  const vault = await open({ meterProvider: given.meterProvider, tracerProvider: given.tracerProvider })
  await vault.get('name')
  expect(pointOf(await given.collect(), 'ready')).toBe(1)
  expect((await registered.collect()).size).toBe(0)
  expect([given.spans().length, registered.spans().length]).toEqual([1, 0])
})

test('a vault that was closed is no longer observed', async () => {
  const sdk = testSdk('delta')
  const vault = await open({ meterProvider: sdk.meterProvider })
  expect((await sdk.collect()).has('ready')).toBe(true)
  await vault.close()
  expect((await sdk.collect()).has('ready')).toBe(false)
})

test('options of the wrong form are refused before anything is opened', async () => {
  for (const statusEveryMs of [0, 999, 1.5, 3_600_001, Number.NaN]) {
    await expect(open({ statusEveryMs })).rejects.toThrow(/statusEveryMs is a whole number/)
  }
})

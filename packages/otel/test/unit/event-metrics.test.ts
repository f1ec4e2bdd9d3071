import type { VaultEvent } from '@talos/envelope'
import { expect, test } from 'vitest'
import { countEvent } from '../../src/event-metrics.ts'
import { Instruments } from '../../src/instruments.ts'
import { EVENT_METRICS } from '../../src/names.ts'
import { type Point, testSdk } from '../support/sdk.ts'

async function counted(...events: readonly VaultEvent[]): Promise<Map<string, readonly Point[]>> {
  const sdk = testSdk()
  const shared = { 'talos.envelope.namespace': 'gateway' }
  const instruments = new Instruments(sdk.meterProvider, shared)
  for (const event of events) countEvent(event, instruments.current, shared)
  const collected = await sdk.collect()
  for (const [name, points] of collected)
    collected.set(
      name,
      points.filter(({ attributes }) => Object.keys(attributes).length > 0),
    )
  return collected
}

const call = { type: 'call', operation: 'get', durationMs: 20 } as const

test('calls are counted by operation and outcome, and those that failed by the code of their error', async () => {
  const found = await counted(
    { ...call, outcome: 'found' },
    { ...call, outcome: 'found' },
    { ...call, outcome: 'ERR_STORE_UNAVAILABLE' },
    { ...call, operation: 'put', outcome: 'unexpected' },
  )
  expect(found.get('call.duration')).toEqual([
    { attributes: { operation: 'get', outcome: 'found' }, value: 2 },
    {
      attributes: { operation: 'get', outcome: 'failed', 'error.type': 'ERR_STORE_UNAVAILABLE' },
      value: 1,
    },
    { attributes: { operation: 'put', outcome: 'failed', 'error.type': '_OTHER' }, value: 1 },
  ])
})

test('the records of a batch are counted by what became of them, also where that is none', async () => {
  const batch = {
    type: 'rotation_batch',
    operationId: 'one',
    dryRun: false,
    planMs: 30,
    writeMs: 40,
  } as const
  const found = await counted(
    { ...batch, records: 10, rewrapped: 5, changed: 2, deleted: 1, failed: 0 },
    { ...batch, records: 1, rewrapped: 1, changed: 0, deleted: 0, failed: 0 },
  )
  expect(found.get('rotation.records')).toEqual([
    { attributes: { outcome: 'rewrapped' }, value: 6 },
    { attributes: { outcome: 'already_current' }, value: 2 },
    { attributes: { outcome: 'changed' }, value: 2 },
    { attributes: { outcome: 'deleted' }, value: 1 },
    { attributes: { outcome: 'failed' }, value: 0 },
  ])
  expect(found.get('rotation.batch.duration')).toEqual([
    { attributes: { 'rotation.step': 'plan' }, value: 2 },
    { attributes: { 'rotation.step': 'write' }, value: 2 },
  ])
})

test('what a dry run would re-wrap is not counted as re-wrapped', async () => {
  const batch = { type: 'rotation_batch', operationId: 'one', dryRun: true, planMs: 30, writeMs: 40 } as const
  const found = await counted({ ...batch, records: 7, rewrapped: 7, changed: 0, deleted: 0, failed: 0 })
  const outcomes = found
    .get('rotation.records')
    ?.map(({ attributes, value }) => [attributes['outcome'], value])
  expect(outcomes?.slice(0, 2)).toEqual([
    ['rehearsed', 7],
    ['already_current', 0],
  ])
})

test('promotions, alarms and faults are counted with ids, states and codes', async () => {
  const found = await counted(
    { type: 'promoted', kekId: 'v2', formerKekId: 'v1', epoch: 2 },
    { type: 'unexpected_kek', kekId: 'v1', state: 'retired' },
    { type: 'fault', during: 'heartbeat', code: 'ERR_STORE_UNAVAILABLE', message: 'of the store' },
    { type: 'fault', during: 'audit', code: 'unexpected', message: 'of the sink' },
  )
  expect([found.get('promotions'), found.get('kek.unexpected'), found.get('faults')]).toEqual([
    [{ attributes: { 'kek.id': 'v2' }, value: 1 }],
    [{ attributes: { 'kek.id': 'v1', 'kek.state': 'retired' }, value: 1 }],
    [
      { attributes: { during: 'heartbeat', 'error.type': 'ERR_STORE_UNAVAILABLE' }, value: 1 },
      { attributes: { during: 'audit', 'error.type': '_OTHER' }, value: 1 },
    ],
  ])
})

test('durations are seconds', () => {
  const durations = Object.values(EVENT_METRICS).filter(({ name }) => name.endsWith('.duration'))
  expect(durations.map(({ unit }) => unit)).toEqual(['s', 's'])
})

test('what never happened is 0 from the start', async () => {
  const sdk = testSdk()
  const instruments = new Instruments(sdk.meterProvider, {})
  void instruments.current
  const zero = [{ attributes: {}, value: 0 }]
  expect(Object.fromEntries(await sdk.collect())).toEqual({
    'rotation.records': zero,
    promotions: zero,
    'kek.unexpected': zero,
    faults: zero,
    'status.failures': zero,
  })
})

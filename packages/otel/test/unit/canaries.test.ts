import { Buffer } from 'node:buffer'
import { explicitKeys, MemoryStore, StoreError, type VaultEvent } from '@talos/envelope'
import { interceptStore } from '@talos/envelope/testing'
import { expect, test } from 'vitest'
import { CANARY_KEK, CANARY_SECRET, findCanaries } from '../../../../test/canaries.ts'
import { testSdk } from '../support/sdk.ts'
import { kekBytes, open } from '../support/vaults.ts'

const NAME = 'canary-name-Zq8'
const PAIR = { 'canary-pair-Vk3': 'canary-content-Xw7' }
const OTHER_PAIR = { tenant: 'canary-other-Rt5' }
const ABORTED = 'canary-reason-Ht2'
const WORDS = [NAME, ...Object.entries(PAIR).flat(), ...Object.values(OTHER_PAIR), ABORTED]

function findWords(text: string): string[] {
  const spellings = (word: string) => [word, ...['hex', 'base64', 'base64url'].map((as) => encoded(word, as))]
  return [
    ...WORDS.filter((word) => spellings(word).some((spelt) => text.includes(spelt))),
    ...findCanaries(text),
  ]
}

function encoded(word: string, as: string): string {
  return Buffer.from(word).toString(as as BufferEncoding)
}

test('what this test looks for is found in a span, a metric and an event that hold it', async () => {
  const sdk = testSdk()
  sdk.tracerProvider
    .getTracer('test')
    .startSpan('leak', { attributes: { leak: `to ${NAME}` } })
    .end()
  sdk.meterProvider.getMeter('test').createCounter('leak').add(1, { leak: CANARY_SECRET })
  await sdk.collect()
  expect(findWords(sdk.exported())).toEqual([NAME, 'secret as raw bytes'])
})

test('no value, name, context or key is in any span, metric or event of everything a vault does', async () => {
  const sdk = testSdk()
  sdk.register()
  const events: VaultEvent[] = []
  let away = false
  const backend = new MemoryStore({ level: 'strong' })
  const store = interceptStore(backend, ({ proceed }) => {
    if (away) throw new StoreError('ERR_STORE_UNAVAILABLE', `"${NAME}" cannot be reached.`)
    return proceed()
  })
  const onEvent = (event: VaultEvent) => void events.push(event)
  const first = explicitKeys({ currentKekId: 'v1', keks: { v1: CANARY_KEK } })
  const former = await open({}, { store, keys: first, onEvent })
  await former.put(NAME, CANARY_SECRET, { context: PAIR })
  await former.put(`${NAME}/other`, CANARY_SECRET)
  await former.close()

  const both = explicitKeys({ currentKekId: 'v2', keks: { v1: CANARY_KEK, v2: kekBytes(2) } })
  const vault = await open({}, { store, keys: both, onEvent })
  const failures = [
    () => vault.get(NAME, { context: OTHER_PAIR }),
    () => vault.put(NAME, CANARY_SECRET, { context: OTHER_PAIR }),
    () => vault.put(NAME, 'x'.repeat(70_000), { context: PAIR }),
    () => vault.get(`${NAME}\0`),
    () => vault.get(NAME, { context: PAIR, signal: AbortSignal.abort(new Error(ABORTED)) }),
    () => vault.import(`{"${NAME}": "${CANARY_SECRET}"}`, { name: NAME, keys: [] }),
    () => vault.rotate({ reason: 'x'.repeat(2000) }),
  ]
  for (const fails of failures) await expect(fails()).rejects.toThrow()
  away = true
  await expect(vault.get(NAME, { context: PAIR })).rejects.toThrow(NAME)
  await sdk.collect()
  away = false

  const damaged = `${NAME}/damaged`
  await damage(backend, damaged)
  const { id } = await vault.rotate({ reason: NAME, actor: NAME })
  await expect.poll(async () => (await vault.rotations.get(id))?.status).toBe('failed')
  const listed: string[] = []
  for await (const { name } of vault.rotations.failures(id)) listed.push(name)
  expect(listed).toEqual([damaged])
  expect((await vault.get(NAME, { context: PAIR }))?.text()).toBe(CANARY_SECRET)
  await vault.getMany([NAME], { context: PAIR })
  await vault.reencrypt(NAME, { context: PAIR })
  await vault.delete(NAME)
  await vault.close()
  await sdk.collect()

  expect(sdk.spans().length).toBeGreaterThan(12)
  expect(findWords(sdk.exported())).toEqual([])
  const told = events.map((event) => (event.type === 'fault' ? { ...event, message: '' } : event))
  expect(findWords(JSON.stringify(told))).toEqual([])
})

/** A record whose wrapped DEK was altered, as a rotation finds it. */
async function damage(store: MemoryStore, name: string): Promise<void> {
  const [sample] = await store.read([`${NAME}/other`])
  const keyring = await store.readDocument('keyring')
  if (!sample || !keyring) throw new Error('there is nothing to damage')
  const wrap = sample.wrap.replace(/.$/, (last) => (last === 'A' ? 'E' : 'A'))
  const change = { kind: 'create', secret: { ...sample, name, wrap } } as const
  expect(await store.write(keyring.revision, [change])).toEqual(['done'])
}

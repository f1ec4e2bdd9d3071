import { heldClock } from '@talos/envelope/testing'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { RotationOperation } from '../../src/index.ts'
import { explicitKeys, type KeySource, MemoryStore, openVault, type SecretVault } from '../../src/index.ts'
import type { Runtime } from '../../src/runtime.ts'
import { type FakeKms, startFakeKms } from '../support/fake-kms.ts'
import { kekBytes, wrapOf } from '../support/vaults.ts'

const ARN = 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab'
const V1 = kekBytes(1)

let kms: FakeKms
let store: MemoryStore
const open: SecretVault[] = []
beforeAll(async () => {
  kms = await startFakeKms()
})
afterAll(() => kms.close())
beforeEach(() => {
  store = new MemoryStore({ level: 'strong' })
  kms.disturb = () => null
  kms.latencyMs = 0
})
afterEach(async () => {
  for (const vault of open.splice(0)) await vault.close()
})

/** Short enough that a test may wait for heartbeats, where they are the point. */
const SHORT_LEASE = { leaseMs: 600 }

/** A vault under real clocks, if none is given: an HTTP server does not wait for a clock that stands still. */
async function vaultOn(
  keys: KeySource,
  options: { readonly leaseMs?: number; readonly runtime?: Runtime } = {},
): Promise<SecretVault> {
  const vault = await openVault({ store, keys, namespace: 'gateway', ...options })
  open.push(vault)
  return vault
}

const localOnly = (): KeySource => explicitKeys({ currentKekId: 'v1', keks: { v1: V1 } })
const wishes = (currentKekId: string): KeySource =>
  explicitKeys({ currentKekId, keks: { v1: V1, v3: kekBytes(3), kms1: kms.key(ARN) } })

async function seed(count: number, options: { readonly runtime?: Runtime } = {}): Promise<void> {
  const vault = await openVault({ store, keys: localOnly(), namespace: 'gateway', ...options })
  for (let index = 0; index < count; index += 1) await vault.put(`s${index}`, `value ${index}`)
  await vault.close()
}

async function ended(
  vault: SecretVault,
  id: string,
  advance?: (milliseconds: number) => Promise<void>,
): Promise<RotationOperation> {
  return await vi.waitFor(
    async () => {
      await advance?.(20)
      const operation = await vault.rotations.get(id)
      if (operation === null || operation.status === 'running') throw new Error('still running')
      return operation
    },
    { timeout: 20_000, interval: 20 },
  )
}

async function expectReadable(vault: SecretVault, count: number): Promise<void> {
  for (let start = 0; start < count; start += 100) {
    const names = Array.from({ length: Math.min(100, count - start) }, (_, index) => `s${start + index}`)
    const secrets = await vault.getMany(names)
    expect(secrets.map((secret) => secret?.text())).toEqual(names.map((name) => `value ${name.slice(1)}`))
  }
}

describe('a vault with a remote KEK', () => {
  test('promotes it once it has passed its self-test, writes under it and reads what is under both', async () => {
    await seed(1)
    const vault = await vaultOn(wishes('kms1'))
    expect(await vault.status()).toMatchObject({ ready: true, currentKekId: 'kms1', notices: [] })
    await vault.put('new', 'remote', { context: { tenant: 'acme' } })
    expect((await vault.get('new', { context: { tenant: 'acme' } }))?.kekId).toBe('kms1')
    expect((await vault.get('s0'))?.kekId).toBe('v1')
    const document = JSON.parse((await store.readDocument('keyring'))?.value ?? '')
    expect(document.keks).toMatchObject({
      v1: { suite: '0001', state: 'decrypt-only' },
      kms1: { suite: '0002', state: 'current', fingerprint: 'cdc71d873aa0d617' },
    })
  })

  test('begins an empty store under it, or refuses to when its provider is away', async () => {
    kms.disturb = () => 'outage'
    await expect(vaultOn(wishes('kms1'))).rejects.toMatchObject({ code: 'ERR_KEY_PROVIDER_UNAVAILABLE' })
    expect(await store.readDocument('keyring')).toBeNull()
    kms.disturb = () => null
    const vault = await vaultOn(wishes('kms1'))
    await vault.put('a', 'x')
    expect((await vault.get('a'))?.kekId).toBe('kms1')
  })

  test('F25: opens, is ready and serves local secrets while the provider is away, and promotes when it is back', async () => {
    await seed(2)
    kms.disturb = () => 'outage'
    const vault = await vaultOn(wishes('kms1'), SHORT_LEASE)
    expect(vault.ready).toBe(true)
    expect((await vault.get('s0'))?.text()).toBe('value 0')
    expect(await vault.put('s1', 'value 1')).toMatchObject({ outcome: 'replaced' })
    const { notices, pending, currentKekId } = await vault.status()
    expect(currentKekId).toBe('v1')
    expect(pending).toMatchObject({ kekId: 'kms1', waitingFor: [{ reason: 'untested' }] })
    expect(notices).toEqual([expect.stringMatching(/^KEK "kms1" has not passed its self-test here/)])
    kms.disturb = () => null
    await vi.waitFor(async () => expect((await vault.status()).currentKekId).toBe('kms1'), {
      timeout: 10_000,
    })
    expect((await vault.status()).notices).toEqual([])
  })

  test('answers a retryable ProviderError within the deadline of the call, and writes nothing', async () => {
    await seed(1)
    const vault = await vaultOn(wishes('kms1'))
    await vault.put('a', 'first')
    const wrap = await wrapOf(store, 'a')
    for (const disturbance of ['outage', 'throttle', 'silence', 'cut'] as const) {
      kms.disturb = () => disturbance
      const unavailable = { code: 'ERR_KEY_PROVIDER_UNAVAILABLE', retryable: true, kekId: 'kms1' }
      const startedAt = performance.now()
      await expect(vault.put('a', 'second', { timeoutMs: 150 })).rejects.toMatchObject(unavailable)
      await expect(vault.get('a', { timeoutMs: 150 })).rejects.toMatchObject(unavailable)
      expect(performance.now() - startedAt).toBeLessThan(3_000)
      expect((await vault.get('s0'))?.text()).toBe('value 0')
      expect(vault.ready).toBe(true)
    }
    kms.disturb = () => null
    expect(await wrapOf(store, 'a')).toBe(wrap)
    expect((await vault.get('a'))?.text()).toBe('first')
  })

  test('reads many secrets with at most 16 calls at a time', async () => {
    await seed(1)
    const vault = await vaultOn(wishes('kms1'))
    for (let index = 0; index < 60; index += 1) await vault.put(`s${index}`, `value ${index}`)
    const before = kms.requests()
    kms.latencyMs = 3
    await expectReadable(vault, 60)
    expect(kms.requests() - before).toBe(60)
    expect(kms.mostAtOnce()).toBeLessThanOrEqual(16)
  })

  test('F20: another key behind the same id is other bytes: not ready, never written under', async () => {
    await seed(1)
    await (await vaultOn(wishes('kms1'))).put('a', 'x')
    const other = { v1: V1, kms1: kms.key(ARN.replace('1234abcd', '4321dcba')) }
    const vault = await vaultOn(explicitKeys({ currentKekId: 'kms1', keks: other }))
    expect((await vault.status()).reasons).toMatchObject([{ code: 'ERR_KEK_MISMATCH', kekId: 'kms1' }])
    await expect(vault.get('a')).rejects.toMatchObject({ code: 'ERR_KEK_MISMATCH' })
    await expect(vault.put('a', 'y')).rejects.toMatchObject({ code: 'ERR_KEK_MISMATCH' })
  })
})

describe('a rotation', () => {
  test('to a remote KEK and on to a local one moves every secret and touches no sealed byte', async () => {
    await seed(300)
    const before = await store.read(['s0', 's299'])
    const remote = await vaultOn(wishes('kms1'))
    const there = await ended(remote, (await remote.rotate()).id)
    expect(there).toMatchObject({ status: 'completed', totals: { rewrapped: 300, failed: 0 } })
    expect(await store.census()).toEqual(new Map([['kms1', 300]]))
    await remote.close()
    const local = await vaultOn(wishes('v3'))
    const back = await ended(local, (await local.rotate()).id)
    expect(back).toMatchObject({
      status: 'completed',
      totals: { rewrapped: 300, failed: 0 },
      lastError: null,
    })
    expect(await store.census()).toEqual(new Map([['v3', 300]]))
    const after = await store.read(['s0', 's299'])
    expect(after.map((record) => record?.sealed)).toEqual(before.map((record) => record?.sealed))
    kms.disturb = () => 'outage'
    await expectReadable(local, 300)
  })

  test.each(['outage', 'throttle', 'cut', 'silence'] as const)(
    'F25: waits while the provider is away (%s), keeps its lease, and finishes with nothing failed',
    async (disturbance) => {
      // This clock goes on only where the test lets it: a machine that pauses lets no lease end.
      const { runtime, advance } = heldClock()
      store = new MemoryStore({ level: 'strong', monotonicMs: runtime.monotonicMs })
      await seed(120, { runtime })
      const vault = await vaultOn(wishes('kms1'), { runtime, ...SHORT_LEASE })
      const rival = await vaultOn(wishes('kms1'), { runtime, ...SHORT_LEASE })
      const from = kms.requests()
      kms.disturb = (call) => (call > from + 40 ? disturbance : null)
      const { id } = await vault.rotate()
      // Three times the lease: without saves meanwhile the rival would have taken the operation over.
      const waiting = await vi.waitFor(
        async () => {
          await advance(20)
          const operation = await rival.rotations.get(id)
          const { updatedAt = '', startedAt = '' } = operation ?? {}
          expect(Date.parse(updatedAt) - Date.parse(startedAt)).toBeGreaterThan(1_800)
          return operation
        },
        { timeout: 20_000, interval: 20 },
      )
      expect(waiting).toMatchObject({ status: 'running', workers: [vault.instanceId], totals: { failed: 0 } })
      // Silence has not ended yet: there is no error to show.
      const code = disturbance === 'silence' ? undefined : 'ERR_KEY_PROVIDER_UNAVAILABLE'
      expect(waiting?.lastError?.code).toBe(code)
      expect((await vault.get('s0'))?.text()).toBe('value 0')
      kms.disturb = () => null
      kms.endSilence()
      const operation = await ended(vault, id, advance)
      expect(operation).toMatchObject({ status: 'completed', lastError: null })
      expect(operation.totals).toMatchObject({ scanned: 120, rewrapped: 120, failed: 0 })
      await expectReadable(vault, 120)
    },
    40_000,
  )

  test('F25: gets on under a throttle that answers one call in three, and asks for no DEK twice that it has', async () => {
    await seed(60)
    const vault = await vaultOn(wishes('kms1'))
    const from = kms.requests()
    kms.disturb = (call) => (call % 3 === 0 ? null : 'throttle')
    const operation = await ended(vault, (await vault.rotate()).id)
    expect(operation).toMatchObject({ status: 'completed', totals: { rewrapped: 60, failed: 0 } })
    expect(kms.requests() - from).toBeLessThan(60 * 8)
    kms.disturb = () => null
    await expectReadable(vault, 60)
  }, 40_000)

  test('ends with the reason, and no record held to be bad, when the service refuses this process', async () => {
    await seed(20)
    const vault = await vaultOn(wishes('kms1'))
    kms.disturb = () => 'denied'
    const operation = await ended(vault, (await vault.rotate()).id)
    expect(operation).toMatchObject({
      status: 'failed',
      lastError: { code: 'ERR_KEY_PROVIDER_REFUSED' },
      totals: { failed: 0 },
    })
    kms.disturb = () => null
    const again = await ended(vault, (await vault.rotate()).id)
    expect(again).toMatchObject({ status: 'completed', totals: { rewrapped: 20 } })
  })

  test('F24: lists a record whose DEK the service did not wrap, and moves all others', async () => {
    await seed(1)
    const remote = await vaultOn(wishes('kms1'))
    for (const name of ['a', 'b', 'c']) await remote.put(name, name)
    const [record] = await store.read(['b'])
    if (record === null || record === undefined) throw new Error('no record')
    const bytes = Buffer.from(record.wrap.split(':')[3] ?? '', 'base64url')
    bytes[50] = (bytes[50] ?? 0) ^ 1
    const damaged = { ...record, wrap: `talos:v2:kms1:${bytes.toString('base64url')}` }
    const revision = (await store.readDocument('keyring'))?.revision ?? 0
    await store.write(revision, [{ kind: 'replace', expectedWrap: record.wrap, secret: damaged }])
    await remote.close()
    const vault = await vaultOn(wishes('v3'))
    const { id } = await vault.rotate()
    const operation = await ended(vault, id)
    expect(operation).toMatchObject({ status: 'failed', totals: { rewrapped: 3, failed: 1 } })
    const failures: unknown[] = []
    for await (const failure of vault.rotations.failures(id)) failures.push(failure)
    expect(failures).toMatchObject([{ name: 'b', source: null, reason: 'wrap_corrupt', kekId: 'kms1' }])
  })

  test('is left at once by close() while the provider is silent, free for the next instance', async () => {
    await seed(30)
    const vault = await vaultOn(wishes('kms1'))
    kms.disturb = () => 'silence'
    const asked = kms.requests()
    const { id } = await vault.rotate()
    await vi.waitFor(() => expect(kms.requests()).toBeGreaterThan(asked), { timeout: 20_000 })
    const startedAt = performance.now()
    await vault.close()
    expect(performance.now() - startedAt).toBeLessThan(2_000)
    kms.disturb = () => null
    const next = await vaultOn(wishes('kms1'))
    expect((await next.rotations.get(id))?.status).toMatch(/running|completed/)
    expect(await ended(next, id)).toMatchObject({ status: 'completed', totals: { rewrapped: 30, failed: 0 } })
  })
})

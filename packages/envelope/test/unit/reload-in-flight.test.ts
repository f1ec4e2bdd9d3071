import { explicitKeys, type KeySource, openVault, type SecretVault, type VaultEvent } from '@talos/envelope'
import { interceptStore } from '@talos/envelope/testing'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { changing } from '../support/changing-source.ts'
import { type FakeKms, startFakeKms } from '../support/fake-kms.ts'
import {
  BOTH_WISH_V1,
  BOTH_WISH_V2,
  finished,
  keys,
  ONLY_V1,
  ONLY_V2,
  type TestDomain,
  testDomain,
  unavailable,
  V1,
  V2,
  V3,
  wrapOf,
} from '../support/vaults.ts'

let domain: TestDomain
const open: SecretVault[] = []
beforeEach(() => {
  domain = testDomain()
})
afterEach(async () => {
  for (const vault of open.splice(0)) await vault.close()
})

async function vaultOf(
  source: KeySource,
  options: Parameters<TestDomain['open']>[1] = {},
): Promise<SecretVault> {
  const vault = await domain.open(source, options)
  open.push(vault)
  return vault
}

const faults = (): string[] =>
  domain.events.flatMap((event) => (event.type === 'fault' && event.during === 'reload' ? [event.code] : []))

describe('calls in flight', () => {
  /** Stops calls of one kind after the store has answered them, until they are let go. */
  function stopping(method: string) {
    const gate = { isShut: false, waiting: 0, open: (): void => {} }
    let opened = Promise.withResolvers<void>()
    gate.open = () => {
      gate.isShut = false
      opened.resolve()
      opened = Promise.withResolvers<void>()
    }
    const store = interceptStore(domain.store, async (call) => {
      const answer = await call.proceed()
      if (gate.isShut && call.method === method) {
        gate.waiting += 1
        await opened.promise
      }
      return answer
    })
    return { gate, store }
  }

  test('a rotation that has read a page goes on when the last KEK in it is taken away, for nothing is under it', async () => {
    const source = changing(ONLY_V1)
    const { gate, store } = stopping('scan')
    const vault = await vaultOf(source, { store })
    await vault.put('a', 'one')
    source.now = BOTH_WISH_V2
    await vault.reload()
    gate.isShut = true
    const { id } = await vault.rotate()
    await domain.clock.settle()
    expect(gate.waiting).toBeGreaterThan(0)
    const other = await vaultOf(BOTH_WISH_V2, { process: 'other' })
    await other.put('a', 'two')
    await other.close()
    gate.isShut = false
    source.now = ONLY_V2
    expect((await vault.reload()).removed).toEqual(['v1'])
    // The calls that were in flight have ended, and the keyring that held v1 is forgotten.
    await domain.clock.settle()
    gate.open()
    expect(await finished(domain, vault, id)).toMatchObject({ status: 'completed', lastError: null })
  })

  test('W8: a get and a getMany that have read records end with the KEK they began with, though it is gone', async () => {
    const source = changing(ONLY_V1)
    const { gate, store } = stopping('read')
    const vault = await vaultOf(source, { store })
    await vault.put('a', 'one')
    await vault.put('b', 'two')
    source.now = BOTH_WISH_V2
    await vault.reload()
    gate.isShut = true
    const reads = [vault.get('a'), vault.getMany(['a', 'b'])]
    await domain.clock.settle()
    expect(gate.waiting).toBe(2)
    const other = await vaultOf(BOTH_WISH_V2, { process: 'other' })
    await finished(domain, other, (await other.rotate()).id)
    source.now = ONLY_V2
    expect((await vault.reload()).removed).toEqual(['v1'])
    gate.open()
    const [one, many] = await Promise.all(reads)
    expect([one, many].flat().map((secret) => `${secret?.kekId} ${secret?.text()}`)).toEqual([
      'v1 one',
      'v1 one',
      'v1 two',
    ])
    expect((await vault.get('a'))?.kekId).toBe('v2')
  })

  test('W5: a put that has wrapped under the former KEK is fenced and wraps again under the new one', async () => {
    const source = changing(ONLY_V1)
    const { gate, store } = stopping('read')
    const vault = await vaultOf(source, { store })
    gate.isShut = true
    const put = vault.put('a', 'value')
    await domain.clock.settle()
    expect(gate.waiting).toBe(1)
    source.now = BOTH_WISH_V2
    await vault.reload()
    gate.open()
    expect(await put).toEqual({ outcome: 'created', version: 1 })
    expect(await wrapOf(domain.store, 'a')).toMatch(/^talos:v2:v2:/)
  })

  test('W7: a rotation goes on over reloads that add, wish and remove', async () => {
    const source = changing(ONLY_V1)
    const vault = await vaultOf(source)
    for (let index = 0; index < 600; index += 1) await vault.put(`s${index}`, `value ${index}`)
    source.now = BOTH_WISH_V2
    await vault.reload()
    const { id } = await vault.rotate({ ratePerSecond: 100 })
    const sets = [keys('v2', { v1: V1, v2: V2, v3: V3 }), BOTH_WISH_V2]
    let reloads = 0
    const held = { at: await vault.rotations.get(id) }
    while (held.at?.status === 'running') {
      source.now = sets[reloads % 2] ?? BOTH_WISH_V2
      await vault.reload()
      reloads += 1
      await domain.clock.advance(500)
      held.at = await vault.rotations.get(id)
    }
    expect(held.at).toMatchObject({ status: 'completed', totals: { rewrapped: 600, failed: 0 } })
    expect(reloads).toBeGreaterThan(5)
    expect(faults()).toEqual([])
    source.now = ONLY_V2
    expect((await vault.reload()).removed).toContain('v1')
    expect((await vault.get('s599'))?.text()).toBe('value 599')
  })
})

describe('remote KEKs', () => {
  const key = (name: string): string => `arn:aws:kms:eu-central-1:111122223333:key/${name}`
  const ONE = key('11111111-12ab-34cd-56ef-1234567890ab')
  const TWO = key('22222222-12ab-34cd-56ef-1234567890ab')
  let kms: FakeKms
  beforeAll(async () => {
    kms = await startFakeKms()
  })
  afterAll(() => kms.close())
  beforeEach(() => {
    kms.disturb = () => null
  })
  const withRemote = (wish: string, kms1 = kms.key(ONE)): KeySource =>
    explicitKeys({ currentKekId: wish, keks: { v1: V1, kms1 } })

  /** Under real clocks: an HTTP server does not wait for a clock that stands still. */
  async function vaultOn(source: KeySource, leaseMs = 15_000): Promise<SecretVault> {
    const vault = await openVault({ store: domain.store, keys: source, namespace: 'gateway', leaseMs })
    open.push(vault)
    return vault
  }

  test('come with their self-test and are promoted at once', async () => {
    const source = changing(ONLY_V1)
    const vault = await vaultOn(source)
    const kms1 = kms.key(ONE)
    source.now = withRemote('kms1', kms1)
    await vault.reload()
    expect(kms1.calls).toEqual({ wrap: 1, unwrap: 1 })
    await vault.put('a', 'value')
    const secret = await vault.get('a')
    expect([secret?.kekId, secret?.text()]).toEqual(['kms1', 'value'])
  })

  test('with the provider they had need no second self-test; with another one they do', async () => {
    const [former, next] = [kms.key(ONE), kms.key(ONE)]
    const source = changing(withRemote('v1', former))
    const vault = await vaultOn(source)
    await vault.reload()
    source.now = withRemote('v1', former)
    await vault.reload()
    expect(former.calls.wrap).toBe(1)
    source.now = withRemote('v1', next)
    expect(await vault.reload()).toMatchObject({ added: [], removed: [] })
    expect([former.calls.wrap, next.calls.wrap]).toEqual([1, 1])
  })

  test('F25: whose provider is away come all the same, are told, and are promoted when it is back', async () => {
    const source = changing(ONLY_V1)
    const vault = await vaultOn(source, 600)
    kms.disturb = () => 'outage'
    source.now = withRemote('kms1')
    expect((await vault.reload()).added).toEqual(['kms1'])
    const { ready, currentKekId, notices } = await vault.status()
    expect([ready, currentKekId]).toEqual([true, 'v1'])
    expect(notices).toEqual([expect.stringMatching(/^KEK "kms1" has not passed its self-test here/)])
    kms.disturb = () => null
    await vi.waitFor(async () => expect((await vault.status()).currentKekId).toBe('kms1'), {
      timeout: 10_000,
    })
  })

  test('W6: whose key is another one are refused under a bound id', async () => {
    const source = changing(withRemote('kms1'))
    const vault = await vaultOn(source)
    source.now = withRemote('kms1', kms.key(TWO))
    await expect(vault.reload()).rejects.toMatchObject({ code: 'ERR_KEK_MISMATCH', kekId: 'kms1' })
  })
})

describe('a source that tells of its changes', () => {
  const reloads = (): VaultEvent[] => domain.events.filter(({ type }) => type === 'reloaded')

  test('is loaded again when it does, until the vault is closed', async () => {
    const source = changing(ONLY_V1)
    const vault = await vaultOf(source)
    source.now = BOTH_WISH_V2
    source.tell()
    await domain.clock.settle()
    expect((await vault.status()).currentKekId).toBe('v2')
    await vault.close()
    expect(source.isWatched).toBe(false)
  })

  test('is not watched when the host says so', async () => {
    const source = changing(ONLY_V1)
    const { store, clock } = domain
    const vault = await openVault({
      store,
      keys: source,
      namespace: 'gateway',
      runtime: clock.runtime,
      watchKeys: false,
    })
    open.push(vault)
    expect(source.isWatched).toBe(false)
  })

  test('is not missed when it changes while the vault opens', async () => {
    const source = changing(ONLY_V1)
    const store = interceptStore(domain.store, ({ number, proceed }) => {
      if (number === 2) {
        source.now = BOTH_WISH_V2
        source.tell()
      }
      return proceed()
    })
    const vault = await vaultOf(source, { store })
    await domain.clock.settle()
    expect((await vault.status()).currentKekId).toBe('v2')
  })

  test('is not watched any more when the vault does not open', async () => {
    const source = changing(keys('v9', { v1: V1 }))
    await expect(domain.open(source)).rejects.toMatchObject({ code: 'ERR_KEY_CONFIGURATION' })
    expect(source.isWatched).toBe(false)
  })

  test('and is faulty then leaves everything as it was, by event and notice', async () => {
    const source = changing(ONLY_V1)
    const vault = await vaultOf(source)
    source.now = keys('v2', { v1: V1 })
    source.tell()
    await domain.clock.settle()
    expect(faults()).toEqual(['ERR_KEY_CONFIGURATION'])
    expect((await vault.status()).notices).toEqual([expect.stringContaining('currentKekId names v2')])
    await vault.put('a', 'value')
    await domain.clock.advance(60_000)
    expect(source.loads).toBe(2)
    source.now = BOTH_WISH_V2
    source.tell()
    await domain.clock.settle()
    expect((await vault.status()).notices).toEqual([])
  })

  test('is loaded once for many changes, and again for one that comes while it is loaded', async () => {
    const source = changing(ONLY_V1)
    await vaultOf(source)
    for (let change = 0; change < 50; change += 1) source.tell()
    await domain.clock.settle()
    expect([source.loads, reloads().length]).toEqual([2, 1])
    source.now = {
      load(options) {
        source.now = BOTH_WISH_V1
        source.tell()
        return ONLY_V1.load(options)
      },
    }
    source.tell()
    await domain.clock.settle()
    expect(source.loads).toBe(4)
  })

  test('is loaded at a later heartbeat when the store was away, without a second change', async () => {
    const source = changing(ONLY_V1)
    let isAway = false
    const store = interceptStore(domain.store, ({ proceed }) =>
      isAway ? Promise.reject(unavailable()) : proceed(),
    )
    const vault = await vaultOf(source, { store })
    isAway = true
    source.now = BOTH_WISH_V2
    source.tell()
    await domain.clock.advance(12_000)
    expect(faults()).toEqual(['ERR_STORE_UNAVAILABLE'])
    isAway = false
    await domain.clock.advance(10_000)
    expect((await vault.status()).currentKekId).toBe('v2')
  })

  test('and cannot be watched is used all the same, with a notice', async () => {
    const source = changing(ONLY_V1)
    source.watch = () => {
      throw new Error('no more watches on /keys')
    }
    const vault = await vaultOf(source)
    const { notices, ready } = await vault.status()
    expect([ready, notices]).toEqual([
      true,
      ['The key source cannot be watched on this machine. Call vault.reload() after each change of it.'],
    ])
  })
})

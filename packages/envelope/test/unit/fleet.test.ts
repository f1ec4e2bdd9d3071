import type { InstanceStatus, SecretStore, SecretVault, StoredDocument } from '@talos/envelope'
import { openVault } from '@talos/envelope'
import { interceptStore } from '@talos/envelope/testing'
import { afterEach, describe, expect, test } from 'vitest'
import {
  BOTH_WISH_V1,
  BOTH_WISH_V2,
  keys,
  mortal,
  ONLY_V1,
  testDomain,
  V1,
  V2,
  V3,
} from '../support/vaults.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

const open: SecretVault[] = []
afterEach(async () => {
  for (const vault of open.splice(0)) await vault.close()
})
const kept = (vault: SecretVault): SecretVault => {
  open.push(vault)
  return vault
}

async function instanceKeys(store: SecretStore): Promise<readonly string[]> {
  const { items } = await store.listDocuments({ prefix: 'instance/', cursor: null, limit: 100 })
  return items.map(({ key }) => key)
}

async function rowOf(vault: SecretVault, process: string): Promise<InstanceStatus> {
  const row = (await vault.status()).fleet.find((each) => each.process === process)
  if (row === undefined) throw new Error(`${process} is not in the fleet`)
  return row
}

const summary = async (vault: SecretVault): Promise<readonly string[]> =>
  (await vault.status()).fleet
    .map(
      ({ process, role, state, agrees }) => `${process} ${role} ${state} ${agrees ? 'agrees' : 'disagrees'}`,
    )
    .toSorted()

describe('P: an observer', () => {
  test('reports itself and is not waited for', async () => {
    const domain = testDomain()
    await (await domain.open(ONLY_V1)).close()
    const observer = kept(await domain.open(ONLY_V1, { process: 'cli/1', fleet: 'observer' }))
    const member = kept(await domain.open(BOTH_WISH_V2, { process: 'web/2' }))
    const { currentKekId, pending } = await member.status()
    expect([currentKekId, pending]).toEqual(['v2', null])
    await domain.clock.advance(5_000)
    expect(await summary(observer)).toEqual(await summary(member))
    expect(await summary(member)).toEqual(['cli/1 observer live disagrees', 'web/2 member live agrees'])
  })

  test('does not promote what it wishes, however long it runs, and says so', async () => {
    const domain = testDomain()
    await (await domain.open(ONLY_V1)).close()
    const observer = kept(await domain.open(BOTH_WISH_V2, { fleet: 'observer' }))
    await domain.clock.advance(10 * MINUTE)
    const status = await observer.status()
    expect(status).toMatchObject({
      ready: true,
      epoch: 1,
      currentKekId: 'v1',
      targetKekId: 'v1',
      pending: null,
    })
    expect(status.notices.join()).toContain("vault.keks.promote('v2')")
    expect(domain.events.filter(({ type }) => type === 'promoted' || type === 'promotion_waiting')).toEqual(
      [],
    )
    await expect(observer.rotate()).rejects.toMatchObject({ code: 'ERR_PROMOTION_BLOCKED' })
  })

  test('wishes nothing that a member would have to follow', async () => {
    const domain = testDomain()
    await (await domain.open(ONLY_V1)).close()
    kept(await domain.open(keys('v3', { v1: V1, v3: V3 }), { fleet: 'observer' }))
    const member = kept(await domain.open(BOTH_WISH_V2))
    expect((await member.status()).currentKekId).toBe('v2')
  })

  test('sees the promotion that members wait for, and starts rotations towards it', async () => {
    const domain = testDomain()
    const old = await domain.open(ONLY_V1, { process: 'old/1' })
    await old.put('a', 'x')
    kept(await domain.open(BOTH_WISH_V2, { process: 'new/2' }))
    const observer = kept(await domain.open(BOTH_WISH_V2, { process: 'cli/3', fleet: 'observer' }))
    const { pending, targetKekId, notices } = await observer.status()
    expect(targetKekId).toBe('v2')
    expect(pending?.waitingFor).toMatchObject([{ process: 'old/1', reason: 'kek_missing' }])
    expect(notices).toEqual([])
    expect((await observer.rotate()).waitingFor).toHaveLength(1)
    await old.close()
    await domain.clock.advance(30_000)
    expect((await observer.get('a'))?.kekId).toBe('v2')
  })
})

describe('an instance of fleet none', () => {
  test('writes no instance document, and serves, follows and sees everything', async () => {
    const domain = testDomain()
    const member = kept(await domain.open(BOTH_WISH_V1, { process: 'web/1' }))
    const before = await instanceKeys(domain.store)
    const lambda = await domain.open(BOTH_WISH_V1, { process: 'lambda/2', fleet: 'none' })
    await lambda.put('a', 'x')
    await domain.clock.advance(MINUTE)
    expect(await instanceKeys(domain.store)).toEqual(before)
    expect(await summary(lambda)).toEqual(['web/1 member live agrees'])
    const next = kept(await domain.open(BOTH_WISH_V2, { process: 'web/3' }))
    expect((await next.status()).currentKekId).toBe('v2')
    await lambda.put('b', 'y')
    expect((await lambda.get('b'))?.kekId).toBe('v2')
    await lambda.close()
    expect((await instanceKeys(domain.store)).length).toBe(2)
    expect((await member.get('b'))?.text()).toBe('y')
  })

  test('asks for no listing of the fleet with its heartbeats, not even while it wishes another KEK', async () => {
    const domain = testDomain()
    await (await domain.open(ONLY_V1)).close()
    const methods: string[] = []
    const store = interceptStore(domain.store, async ({ method, proceed }) => {
      methods.push(method)
      return await proceed()
    })
    kept(await domain.open(BOTH_WISH_V2, { store, fleet: 'none' }))
    methods.length = 0
    await domain.clock.advance(5_000)
    expect(new Set(methods)).toEqual(new Set(['readDocument']))
  })

  test('is not waited for and does not promote what it wishes', async () => {
    const domain = testDomain()
    await (await domain.open(ONLY_V1)).close()
    const wishing = kept(await domain.open(BOTH_WISH_V2, { fleet: 'none' }))
    await domain.clock.advance(10 * MINUTE)
    expect(await wishing.status()).toMatchObject({ currentKekId: 'v1', pending: null, fleet: [] })
    await expect(wishing.rotate()).rejects.toMatchObject({
      code: 'ERR_PROMOTION_BLOCKED',
      reasons: [expect.stringContaining("fleet: 'none'")],
    })
    kept(await domain.open(ONLY_V1, { fleet: 'none' }))
    const member = kept(await domain.open(BOTH_WISH_V2))
    expect((await member.status()).currentKekId).toBe('v2')
  })
})

test.each(['observer', 'none'] as const)(
  'an empty store is begun by an instance of fleet %s',
  async (fleet) => {
    const domain = testDomain()
    const vault = kept(await domain.open(ONLY_V1, { fleet }))
    expect(await vault.put('a', 'x')).toMatchObject({ outcome: 'created' })
    expect(await vault.status()).toMatchObject({ ready: true, epoch: 1, currentKekId: 'v1' })
  },
)

test('a fleet of another word is refused', async () => {
  const { store } = testDomain()
  const fleet = 'watcher' as 'observer'
  await expect(openVault({ store, keys: ONLY_V1, namespace: 'n', fleet })).rejects.toThrow(
    new TypeError('fleet is one of member, observer, none.'),
  )
})

describe('the fleet of a status', () => {
  test('compares every instance with the document, by the records that are there', async () => {
    const domain = testDomain()
    const former = await domain.open(ONLY_V1)
    await former.put('old', 'x')
    await former.close()
    const whole = kept(await domain.open(BOTH_WISH_V2, { process: 'whole/1' }))
    kept(await domain.open(keys('v2', { v2: V2 }), { process: 'lacks/2' }))
    kept(await domain.open(keys('v1', { v1: V1, v2: V3 }), { process: 'mistyped/3' }))
    await domain.clock.advance(5_000)
    expect(await summary(whole)).toEqual([
      'lacks/2 member live disagrees',
      'mistyped/3 member live disagrees',
      'whole/1 member live agrees',
    ])
    expect((await rowOf(whole, 'lacks/2')).keks).toMatchObject({ v1: { holding: 'missing' } })
    expect((await rowOf(whole, 'mistyped/3')).keks).toMatchObject({
      v1: { holding: 'held' },
      v2: { holding: 'other_bytes', fingerprint: expect.stringMatching(/^[0-9a-f]{16}$/) },
    })
    await whole.rotate()
    await domain.clock.advance(5_000)
    expect((await rowOf(whole, 'lacks/2')).agrees).toBe(true)
  })

  test('an instance agrees once it has seen the epoch, with its next heartbeat', async () => {
    const domain = testDomain()
    const behind = kept(await domain.open(BOTH_WISH_V1, { process: 'behind/1' }))
    await domain.clock.advance(1_000)
    const ahead = kept(await domain.open(BOTH_WISH_V2, { process: 'ahead/2' }))
    expect(await rowOf(ahead, 'behind/1')).toMatchObject({ epochSeen: 1, agrees: false })
    await domain.clock.advance(4_000)
    expect(await rowOf(ahead, 'behind/1')).toMatchObject({ epochSeen: 2, agrees: true })
    expect(behind.ready).toBe(true)
  })

  test('a killed process is silent after its lease, tells for how long, and is forgotten after a day', async () => {
    const domain = testDomain()
    const cut = mortal(domain.store)
    await domain.open(ONLY_V1, { process: 'killed/1', store: cut.store })
    cut.kill()
    const first = await domain.open(ONLY_V1, { process: 'web/2' })
    await domain.clock.advance(15_000)
    expect(await rowOf(first, 'killed/1')).toMatchObject({ state: 'live', ageMs: 15_000 })
    await domain.clock.advance(1)
    expect(await rowOf(first, 'killed/1')).toMatchObject({ state: 'silent', ageMs: 15_001 })
    await first.close()
    await domain.clock.advance(24 * HOUR - 1)
    const later = kept(await domain.open(ONLY_V1, { process: 'web/3' }))
    expect(await rowOf(later, 'killed/1')).toMatchObject({ state: 'silent', ageMs: 24 * HOUR + 15_000 })
    await domain.clock.advance(1)
    expect(await summary(later)).toEqual(['web/3 member live agrees'])
    expect(await instanceKeys(domain.store)).toEqual([`instance/${later.instanceId}`])
  })

  test('where the store has no clock, silence is counted from when it was first seen', async () => {
    const domain = testDomain()
    const clockless = interceptStore(domain.store, async ({ method, proceed }) => {
      const answer = await proceed()
      if (method !== 'listDocuments') return answer
      const page = answer as { items: readonly StoredDocument[] }
      return { ...page, items: page.items.map((item) => ({ ...item, ageMs: null })) }
    })
    const cut = mortal(clockless)
    await domain.open(ONLY_V1, { process: 'killed/1', store: cut.store })
    cut.kill()
    await domain.clock.advance(HOUR)
    const watcher = kept(await domain.open(ONLY_V1, { process: 'web/2', store: clockless }))
    expect(await rowOf(watcher, 'killed/1')).toMatchObject({ state: 'live', ageMs: 0 })
    await domain.clock.advance(15_001)
    expect(await rowOf(watcher, 'killed/1')).toMatchObject({ state: 'silent', ageMs: 15_001 })
    expect(await rowOf(watcher, 'web/2')).toMatchObject({ state: 'live' })
  })
})

describe('F29: an instance whose report cannot be read', () => {
  const unreadable: [string, (report: Record<string, unknown>) => unknown][] = [
    ['no JSON', () => undefined],
    ['null', () => null],
    ['a number', () => 7],
    ['a list', () => []],
    ['no KEKs', ({ keks: _, ...rest }) => rest],
    ['a KEK without a fingerprint', (report) => ({ ...report, keks: { v1: {} } })],
    ['a KEK that is null', (report) => ({ ...report, keks: { v1: null } })],
    ['a KEK id of the wrong form', (report) => ({ ...report, keks: { 'V 1': { fingerprint: '1' } } })],
    ['an epoch that is text', (report) => ({ ...report, epochSeen: '1' })],
    ['the id of another instance', (report) => ({ ...report, instanceId: 'y' })],
  ]
  test.each(unreadable)('%s: it is shown as unknown, and promotions wait for it', async (_, change) => {
    const domain = testDomain()
    const first = await domain.open(ONLY_V1)
    const stored = await domain.store.readDocument(`instance/${first.instanceId}`)
    const report = { ...(JSON.parse(stored?.value ?? '{}') as Record<string, unknown>), instanceId: 'x' }
    await first.close()
    const value = JSON.stringify(change(report)) ?? 'CANARY{'
    await domain.store.writeDocument('instance/x', 0, value)
    const vault = kept(await domain.open(BOTH_WISH_V2, { process: 'web/1' }))
    const { pending, currentKekId } = await vault.status()
    expect(currentKekId).toBe('v1')
    expect(pending?.waitingFor).toMatchObject([{ instanceId: 'x', process: 'x', reason: 'unreadable' }])
    expect(JSON.stringify(pending)).not.toContain('CANARY')
    expect(await rowOf(vault, 'x')).toEqual({
      instanceId: 'x',
      process: 'x',
      role: 'unknown',
      state: 'live',
      ageMs: 0,
      startedAt: null,
      epochSeen: 0,
      wishedKekId: null,
      keks: { v1: { holding: 'missing', fingerprint: null }, v2: { holding: 'missing', fingerprint: null } },
      agrees: false,
    })
  })

  test('it is waited for no longer than its lease, or the longest one where that cannot be read either', async () => {
    for (const [value, leaseMs] of [
      ['{"leaseMs":15000}', 15_000],
      ['{"leaseMs":99999999}', 10 * MINUTE],
      ['CANARY{', 10 * MINUTE],
    ] as const) {
      const domain = testDomain()
      await (await domain.open(ONLY_V1)).close()
      await domain.store.writeDocument('instance/x', 0, value)
      const vault = kept(await domain.open(BOTH_WISH_V2, { process: 'web/1' }))
      await domain.clock.advance(leaseMs)
      expect((await vault.status()).currentKekId).toBe('v1')
      await domain.clock.advance(5_000)
      expect((await vault.status()).currentKekId).toBe('v2')
      expect(await rowOf(vault, 'x')).toMatchObject({ role: 'unknown', state: 'silent' })
    }
  })

  test('reports without a role, and roles of later versions, are of members', async () => {
    const domain = testDomain()
    const first = await domain.open(ONLY_V1)
    const stored = await domain.store.readDocument(`instance/${first.instanceId}`)
    const { role, ...report } = JSON.parse(stored?.value ?? '{}') as Record<string, unknown>
    expect(role).toBe('member')
    await first.close()
    for (const [instanceId, more] of [
      ['old', {}],
      ['later', { role: 'archivist', more: 1 }],
    ] as const) {
      const value = JSON.stringify({ ...report, ...more, instanceId, process: instanceId })
      await domain.store.writeDocument(`instance/${instanceId}`, 0, value)
    }
    const vault = kept(await domain.open(BOTH_WISH_V2, { process: 'web/1' }))
    const { pending } = await vault.status()
    expect(pending?.waitingFor.map(({ process, reason }) => `${process} ${reason}`).toSorted()).toEqual([
      'later kek_missing',
      'old kek_missing',
    ])
    expect((await rowOf(vault, 'later')).role).toBe('member')
  })
})

describe('the counts of a status', () => {
  /** A memory store whose census has other numbers, cut off as CENSUS-3 allows. */
  function counting(store: SecretStore, records: Readonly<Record<string, number>>) {
    const asked: unknown[] = []
    const counted = interceptStore(store, async ({ method, args, proceed }) => {
      if (method !== 'census') return await proceed()
      const { upTo = Infinity, upToOf = {} } = (args[0] ?? {}) as {
        upTo?: number
        upToOf?: Record<string, number>
      }
      asked.push({ upTo, upToOf })
      const entries = Object.entries(records).filter(([, many]) => many > 0)
      return new Map(entries.map(([id, many]) => [id, Math.min(many, (upToOf[id] ?? upTo) + 1)]))
    })
    return { store: counted, asked }
  }

  test('are exact up to 100,000, up to 10,000 under the target, and marked beyond', async () => {
    const domain = testDomain()
    await (await domain.open(ONLY_V1)).close()
    await (await domain.open(BOTH_WISH_V2)).close()
    const rows: [v1: number, v2: number, told: [number, number], atLeast: string[]][] = [
      [0, 0, [0, 0], []],
      [0, 1_000_000, [0, 10_001], ['v2']],
      [1, 10_000, [1, 10_000], []],
      [100_000, 10_001, [100_000, 10_001], ['v2']],
      [100_001, 5, [100_001, 5], ['v1']],
      [2_000_000, 2_000_000, [100_001, 10_001], ['v1', 'v2']],
    ]
    for (const [v1, v2, [told1, told2], atLeast] of rows) {
      const { store, asked } = counting(domain.store, { v1, v2 })
      const vault = await domain.open(BOTH_WISH_V2, { store })
      const { counts, staleCounts, keks } = await vault.status()
      await vault.close()
      expect(staleCounts).toEqual({ v1: told1 })
      expect(keks.map(({ records }) => records)).toEqual([told1, told2])
      expect(counts).toMatchObject({ records: told1 + told2, atLeast })
      expect(asked).toEqual([{ upTo: 100_000, upToOf: { v2: 10_000 } }])
    }
  })

  test('of a store that counts on are exact and not marked', async () => {
    const domain = testDomain()
    const store = interceptStore(domain.store, async ({ method, proceed }) =>
      method === 'census' ? new Map([['v1', 250_000]]) : await proceed(),
    )
    const vault = kept(await domain.open(ONLY_V1, { store }))
    expect((await vault.status()).counts).toMatchObject({ records: 250_000, atLeast: [] })
  })

  test('have a retired KEK among the stale ones only if a record names it after all', async () => {
    const domain = testDomain()
    await (await domain.open(ONLY_V1)).close()
    await (await domain.open(BOTH_WISH_V2)).close()
    const stored = await domain.store.readDocument('keyring')
    if (stored === null) throw new Error('no keyring document')
    const document = JSON.parse(stored.value) as { keks: Record<string, object> }
    const v1 = { ...document.keks['v1'], state: 'retired', retiredAt: '2030-01-01T00:00:00.000Z' }
    const retired = { ...document, keks: { ...document.keks, v1 } }
    await domain.store.writeDocument('keyring', stored.revision, JSON.stringify(retired))
    for (const [records, expected] of [
      [0, {}],
      [7, { v1: 7 }],
    ] as const) {
      const vault = await domain.open(BOTH_WISH_V2, { store: counting(domain.store, { v1: records }).store })
      expect((await vault.status()).staleCounts).toEqual(expected)
      await vault.close()
    }
  })

  test('come with one listing of the fleet', async () => {
    const domain = testDomain()
    const methods: string[] = []
    const store = interceptStore(domain.store, async ({ method, proceed }) => {
      methods.push(method)
      return await proceed()
    })
    const vault = kept(await domain.open(ONLY_V1, { store }))
    methods.length = 0
    await vault.status()
    expect(methods).toEqual(['readDocument', 'listDocuments', 'identify', 'census'])
  })
})

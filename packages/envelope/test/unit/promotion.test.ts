import type { SecretVault } from '@talos/envelope'
import { interceptStore } from '@talos/envelope/testing'
import { afterEach, describe, expect, test } from 'vitest'
import type { InstanceReport } from '../../src/lifecycle/fleet.ts'
import { firstDocument, madeCurrent } from '../../src/lifecycle/keyring-changes.ts'
import type { KeyringDocument } from '../../src/lifecycle/keyring-document.ts'
import { checkPromotion, pendingWishes } from '../../src/lifecycle/promote.ts'
import {
  BOTH_WISH_V1,
  BOTH_WISH_V2,
  keys,
  mortal,
  ONLY_V1,
  ONLY_V2,
  testDomain,
  V1,
  V2,
  V3,
} from '../support/vaults.ts'

const open: SecretVault[] = []
afterEach(async () => {
  for (const vault of open.splice(0)) await vault.close()
})
const kept = (vault: SecretVault): SecretVault => {
  open.push(vault)
  return vault
}

const FP = { v1: '1111111111111111', v2: '2222222222222222', other: '3333333333333333' }
const AT = '2030-01-01T00:00:00.000Z'
const MOMENT = { at: AT, incarnation: 'i' }

function documentWith(): KeyringDocument {
  return firstDocument('n', { id: 'v1', fingerprint: FP.v1, suite: '0001' }, MOMENT)
}

function instance(process: string, wish: string, keks: InstanceReport['keks']): InstanceReport {
  const rest = { leaseMs: 15_000, epochSeen: 1, formats: ['talos:v2'], startedAt: AT }
  return { instanceId: process, process, wishedKekId: wish, keks, ...rest }
}

const held = (fingerprint: string, mayWrap = true) => ({ fingerprint, mayWrap })
const v1Only = instance('old', 'v1', { v1: held(FP.v1) })
const wishesV2 = instance('new', 'v2', { v1: held(FP.v1), v2: held(FP.v2) })
const v2 = { id: 'v2', fingerprint: FP.v2 }

describe('rule P, as a table', () => {
  const rows: [string, InstanceReport[], string[]][] = [
    ['alone', [wishesV2], []],
    ['an instance that lacks it', [wishesV2, v1Only], ['old kek_missing']],
    [
      'two that lack it',
      [wishesV2, v1Only, { ...v1Only, process: 'old2' }],
      ['old kek_missing', 'old2 kek_missing'],
    ],
    [
      'one that holds it and still wishes v1',
      [wishesV2, { ...wishesV2, process: 'b', wishedKekId: 'v1' }],
      [],
    ],
    [
      'one with other bytes',
      [wishesV2, instance('b', 'v1', { v1: held(FP.v1), v2: held(FP.other) })],
      ['b other_bytes'],
    ],
    [
      'one that marks it decrypt-only',
      [wishesV2, instance('b', 'v1', { v1: held(FP.v1), v2: held(FP.v2, false) })],
      ['b decrypt_only'],
    ],
    [
      'one that wishes another new KEK',
      [wishesV2, instance('b', 'v3', { v2: held(FP.v2), v3: held(FP.other) })],
      ['b other_wish'],
    ],
  ]
  test.each(rows)('%s', (_, live, expected) => {
    const verdict = checkPromotion(v2, documentWith(), live)
    expect(verdict.kind).toBe(expected.length === 0 ? 'ready' : 'waiting')
    const waiting = verdict.kind === 'waiting' ? verdict.waitingFor : []
    expect(waiting.map(({ process, reason }) => `${process} ${reason}`)).toEqual(expected)
    for (const { process, message } of waiting) expect(message).toContain(process)
  })

  test('of members that hold other bytes under the wished id those are waited for that are fewer, whoever started last', () => {
    const good = ['a', 'b'].map((name) => ({ ...wishesV2, process: name, instanceId: name }))
    const wrong = instance('z', 'v2', { v1: held(FP.v1), v2: held(FP.other) })
    expect(pendingWishes(documentWith(), [...good, wrong])).toEqual([v2])
    expect(pendingWishes(documentWith(), [wrong, ...good])).toEqual([v2])
    const verdict = checkPromotion(v2, documentWith(), [...good, wrong])
    expect(verdict).toMatchObject({ kind: 'waiting', waitingFor: [{ process: 'z', reason: 'other_bytes' }] })
  })

  test('two different wishes block each other, and both are shown', () => {
    const wishesV3 = instance('b', 'v3', { v2: held(FP.v2), v3: held(FP.other) })
    const live = [wishesV2, wishesV3]
    expect(pendingWishes(documentWith(), live).map(({ id }) => id)).toEqual(['v2', 'v3'])
    expect(checkPromotion({ id: 'v3', fingerprint: FP.other }, documentWith(), live).kind).toBe('waiting')
    expect(checkPromotion(v2, documentWith(), live).kind).toBe('waiting')
  })

  test('a KEK that was current before, or has the bytes of another id, can never become current', () => {
    const after = madeCurrent(documentWith(), { ...v2, suite: '0001' }, 'promote', MOMENT)
    expect(checkPromotion({ id: 'v1', fingerprint: FP.v1 }, after, [wishesV2]).kind).toBe('blocked')
    expect(checkPromotion({ id: 'v9', fingerprint: FP.v1 }, after, [wishesV2]).kind).toBe('blocked')
    expect(checkPromotion(v2, after, [wishesV2]).kind).toBe('current')
    expect(() =>
      madeCurrent(after, { id: 'v1', fingerprint: FP.v1, suite: '0001' }, 'promote', MOMENT),
    ).toThrow(expect.objectContaining({ code: 'ERR_TRANSITION_REFUSED' }))
  })

  test('a KEK id that every object has a property of is no KEK that an instance holds', () => {
    const live = [instance('a', 'constructor', {})]
    expect(pendingWishes(documentWith(), live)).toEqual([])
    expect(checkPromotion({ id: 'constructor', fingerprint: FP.v2 }, documentWith(), live).kind).toBe(
      'waiting',
    )
  })
})

describe('promotion', () => {
  test('one instance alone promotes at once, and only new values are under the new KEK', async () => {
    const domain = testDomain()
    const before = await domain.open(ONLY_V1)
    await before.put('old', 'x')
    await before.close()
    const vault = kept(await domain.open(BOTH_WISH_V2))
    await vault.put('new', 'y')
    const status = await vault.status()
    expect(status).toMatchObject({
      ready: true,
      epoch: 2,
      currentKekId: 'v2',
      pending: null,
      staleCounts: { v1: 1 },
    })
    expect((await vault.get('old'))?.kekId).toBe('v1')
    expect((await vault.get('new'))?.kekId).toBe('v2')
    expect(domain.events).toContainEqual({ type: 'promoted', kekId: 'v2', formerKekId: 'v1', epoch: 2 })
  })

  test('while a live instance lacks the KEK everybody is ready and goes on writing under the current one', async () => {
    const domain = testDomain()
    const old = kept(await domain.open(ONLY_V1, { process: 'web-1/11' }))
    const next = kept(await domain.open(BOTH_WISH_V2, { process: 'web-2/22' }))
    for (const vault of [old, next]) {
      await vault.put(vault.instanceId, 'x')
      const status = await vault.status()
      expect(status).toMatchObject({
        ready: true,
        currentKekId: 'v1',
        targetKekId: 'v2',
        staleCounts: { v1: 1 + open.indexOf(vault) },
      })
      expect(status.pending).toMatchObject({
        kekId: 'v2',
        waitingFor: [{ process: 'web-1/11', reason: 'kek_missing' }],
      })
    }
    expect((await next.get(next.instanceId))?.kekId).toBe('v1')
  })

  test('follows the last restart of a roll-out by one heartbeat', async () => {
    const domain = testDomain()
    const old = await domain.open(ONLY_V1)
    const first = kept(await domain.open(BOTH_WISH_V2))
    await old.close()
    const second = kept(await domain.open(BOTH_WISH_V2))
    expect((await second.status()).currentKekId).toBe('v2')
    await domain.clock.advance(5_000)
    expect((await first.status()).epoch).toBe(2)
    await first.put('a', 'x')
    expect((await second.get('a'))?.kekId).toBe('v2')
  })

  test('waits for a killed instance no longer than its lease and one heartbeat', async () => {
    const domain = testDomain()
    const process = mortal(domain.store)
    await domain.open(ONLY_V1, { process: 'dead/1', store: process.store })
    process.kill()
    const next = kept(await domain.open(BOTH_WISH_V2, { process: 'next/2' }))
    expect((await next.status()).pending?.waitingFor.map((waiting) => waiting.process)).toEqual(['dead/1'])
    await domain.clock.advance(14_000)
    expect((await next.status()).currentKekId).toBe('v1')
    await domain.clock.advance(6_000)
    expect((await next.status()).currentKekId).toBe('v2')
  })

  test('other bytes under the wished id on one instance block the promotion, are shown and stop nobody', async () => {
    const domain = testDomain()
    await (await domain.open(ONLY_V1)).close()
    const mistyped = kept(await domain.open(keys('v1', { v1: V1, v2: V3 }), { process: 'bad/1' }))
    const right = kept(await domain.open(BOTH_WISH_V2, { process: 'good/2' }))
    await domain.clock.advance(60_000)
    for (const vault of [mistyped, right]) {
      expect(vault.ready).toBe(true)
      await vault.put('a', 'x')
    }
    const { pending } = await right.status()
    expect(pending?.waitingFor).toMatchObject([{ process: 'bad/1', reason: 'other_bytes' }])
    await mistyped.close()
    await domain.clock.advance(5_000)
    expect((await right.status()).currentKekId).toBe('v2')
  })

  test('F18: an instance that wishes a former KEK follows the store and says so', async () => {
    const domain = testDomain()
    await (await domain.open(ONLY_V1)).close()
    kept(await domain.open(BOTH_WISH_V2))
    const rolledBack = kept(await domain.open(BOTH_WISH_V1, { process: 'back/1' }))
    await rolledBack.put('a', 'x')
    expect((await rolledBack.get('a'))?.kekId).toBe('v2')
    const status = await rolledBack.status()
    expect(status).toMatchObject({ ready: true, epoch: 2, currentKekId: 'v2', pending: null })
    expect(status.notices.join()).toContain('KEK "v1" was current before "v2"')
    await expect(rolledBack.rotate()).rejects.toMatchObject({
      code: 'ERR_PROMOTION_BLOCKED',
      reasons: [expect.stringContaining('"v1"')],
    })
  })

  test('an instance that is yet to be restarted after the promotion follows it, and starts rotations like the others', async () => {
    const domain = testDomain()
    const old = kept(await domain.open(BOTH_WISH_V1, { process: 'old/1' }))
    await old.put('a', 'x')
    kept(await domain.open(BOTH_WISH_V2, { process: 'new/2' }))
    await domain.clock.advance(5_000)
    const status = await old.status()
    expect(status).toMatchObject({
      ready: true,
      currentKekId: 'v2',
      targetKekId: 'v2',
      staleCounts: { v1: 1 },
    })
    expect(status.notices.join()).toContain('"v2" has become current after "v1"')
    expect(await old.rotate()).toMatchObject({ started: true })
    await domain.clock.advance(5_000)
    expect((await old.status()).staleCounts).toEqual({ v1: 0 })
  })

  test('the same bytes under a new id are never promoted', async () => {
    const domain = testDomain()
    await (await domain.open(ONLY_V1)).close()
    const vault = kept(await domain.open(keys('v1b', { v1b: V1 })))
    await domain.clock.advance(30_000)
    const status = await vault.status()
    expect(status.currentKekId).toBe('v1')
    expect(status.notices.join()).toContain('same bytes as "v1"')
  })

  test('eight instances that start at once agree on one document', async () => {
    const domain = testDomain()
    const vaults = await Promise.all(Array.from({ length: 8 }, () => domain.open(BOTH_WISH_V1)))
    vaults.forEach(kept)
    const statuses = await Promise.all(vaults.map((vault) => vault.status()))
    expect(new Set(statuses.map(({ epoch, currentKekId }) => `${epoch} ${currentKekId}`))).toEqual(
      new Set(['1 v1']),
    )
  })
})

describe('readiness', () => {
  async function rotatedToV2(domain: ReturnType<typeof testDomain>, leave: boolean): Promise<void> {
    const first = await domain.open(ONLY_V1)
    if (leave) await first.put('old', 'x')
    await first.close()
    const second = await domain.open(BOTH_WISH_V2)
    await second.put('new', 'y')
    await second.close()
  }

  test('F19: a fenced KEK that is gone while a record needs it: not ready, id and fingerprint named, the rest goes on', async () => {
    const domain = testDomain()
    await rotatedToV2(domain, true)
    const vault = kept(await domain.open(ONLY_V2))
    const { ready, reasons } = await vault.status()
    expect([ready, vault.ready]).toEqual([false, false])
    expect(reasons).toMatchObject([
      { code: 'ERR_KEK_NOT_LOADED', kekId: 'v1', fingerprint: expect.stringMatching(/^[0-9a-f]{16}$/) },
    ])
    expect(reasons[0]?.message).toContain('TALOS_KEK_v1')
    await expect(vault.get('old')).rejects.toMatchObject({
      code: 'ERR_KEK_NOT_LOADED',
      kekId: 'v1',
      message: expect.stringMatching(/KEK "v1" \(fingerprint [0-9a-f]{16}\) is not loaded.*Add it back/),
    })
    expect((await vault.get('new'))?.text()).toBe('y')
    expect(await vault.put('more', 'z')).toMatchObject({ outcome: 'created' })
    expect(await vault.delete('old')).toEqual({ outcome: 'deleted' })
    expect((await vault.status()).ready).toBe(true)
  })

  test('adding the KEK back restores service at once', async () => {
    const domain = testDomain()
    await rotatedToV2(domain, true)
    const broken = await domain.open(ONLY_V2)
    expect(broken.ready).toBe(false)
    await broken.close()
    const vault = kept(await domain.open(BOTH_WISH_V2))
    expect(vault.ready).toBe(true)
    expect((await vault.get('old'))?.text()).toBe('x')
  })

  test('a fenced KEK that is gone and needed by no record is "removed, not retired" and affects nothing', async () => {
    const domain = testDomain()
    await rotatedToV2(domain, false)
    const vault = kept(await domain.open(ONLY_V2))
    const { ready, notices, staleCounts } = await vault.status()
    expect(ready).toBe(true)
    expect(notices.join()).toContain(
      'KEK "v1" is not loaded here and no secret is under it: removed, not retired',
    )
    expect(staleCounts).toEqual({ v1: 0 })
  })

  test('the current KEK missing: not ready, writes refused with the id, deletes go on', async () => {
    const domain = testDomain()
    await rotatedToV2(domain, true)
    const vault = kept(await domain.open(ONLY_V1))
    expect((await vault.status()).reasons).toMatchObject([{ code: 'ERR_KEK_NOT_LOADED', kekId: 'v2' }])
    await expect(vault.put('a', 'x')).rejects.toMatchObject({ code: 'ERR_KEK_NOT_LOADED', kekId: 'v2' })
    expect((await vault.get('old'))?.text()).toBe('x')
    expect(await vault.delete('new')).toEqual({ outcome: 'deleted' })
  })

  test('F20, W6: other bytes under a bound id neither wrap nor unwrap, and the instance is not ready', async () => {
    const domain = testDomain()
    await rotatedToV2(domain, true)
    const vault = kept(await domain.open(keys('v2', { v1: V1, v2: V3 })))
    expect((await vault.status()).reasons).toMatchObject([{ code: 'ERR_KEK_MISMATCH', kekId: 'v2' }])
    await expect(vault.put('a', 'x')).rejects.toMatchObject({ code: 'ERR_KEK_MISMATCH', kekId: 'v2' })
    await expect(vault.get('new')).rejects.toMatchObject({ code: 'ERR_KEK_MISMATCH', kekId: 'v2' })
    expect((await vault.get('old'))?.text()).toBe('x')
  })

  test('an instance that closes says goodbye after its writes in flight, so that none of them is fenced by a promotion', async () => {
    const domain = testDomain()
    const sent = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    const slow = interceptStore(domain.store, async ({ method, proceed }) => {
      if (method === 'write') {
        sent.resolve()
        await goOn.promise
      }
      return await proceed()
    })
    const old = await domain.open(ONLY_V1, { process: 'old/1', store: slow })
    const put = old.put('a', 'x')
    await sent.promise
    const closing = old.close()
    const vault = kept(await domain.open(BOTH_WISH_V2, { process: 'new/1' }))
    await domain.clock.advance(6_000)
    expect((await vault.status()).currentKekId).toBe('v1')
    goOn.resolve()
    expect(await put).toEqual({ outcome: 'created', version: 1 })
    await closing
    await domain.clock.advance(6_000)
    expect((await vault.status()).currentKekId).toBe('v2')
  })

  test('the key source has the last word: a KEK it marks decrypt-only is never wrapped under', async () => {
    const domain = testDomain()
    await rotatedToV2(domain, true)
    const vault = kept(await domain.open(keys('v3', { v1: V1, v2: V2, v3: V3 }, ['v2']), { process: 'a/1' }))
    // v3 is promoted at once by this instance alone; a document put back by hand makes v2 current again.
    const now = await domain.store.readDocument('keyring')
    if (now === null) throw new Error('no keyring document')
    const document = JSON.parse(now.value) as KeyringDocument
    const { v2, v3 } = document.keks
    const keksNow = {
      ...document.keks,
      v2: { ...v2, state: 'current', fence: null },
      v3: { ...v3, state: 'decrypt-only', fence: v2?.fence },
    }
    await domain.store.writeDocument('keyring', now.revision, JSON.stringify({ ...document, keks: keksNow }))
    await expect(vault.put('a', 'x')).rejects.toMatchObject({ code: 'ERR_KEK_NOT_ALLOWED', kekId: 'v2' })
    expect((await vault.status()).reasons).toMatchObject([{ code: 'ERR_KEK_NOT_ALLOWED', kekId: 'v2' }])
  })

  test('records without a keyring document: reads go on, writes are refused until it is restored', async () => {
    const domain = testDomain()
    const first = await domain.open(ONLY_V1)
    await first.put('a', 'x')
    await first.close()
    // No store deletes this document; a restore of the secrets alone loses it.
    const read = domain.store.readDocument.bind(domain.store)
    domain.store.readDocument = async (key, options) => (key === 'keyring' ? null : read(key, options))
    const vault = kept(await domain.open(ONLY_V1))
    expect((await vault.status()).reasons).toMatchObject([{ code: 'ERR_KEYRING_STATE_LOST' }])
    expect((await vault.get('a'))?.text()).toBe('x')
    await expect(vault.put('b', 'y')).rejects.toMatchObject({ code: 'ERR_KEYRING_STATE_LOST' })
    await expect(vault.rotate()).rejects.toMatchObject({ code: 'ERR_KEYRING_STATE_LOST' })
    expect(await vault.delete('a')).toEqual({ outcome: 'deleted' })
  })

  test.each([
    ['another format', (text: string) => text.replace('"format":1', '"format":2')],
    ['no JSON', () => 'CANARY{'],
    [
      'two current KEKs',
      (text: string) =>
        text.replace(
          '"keks":{',
          `"keks":{"v9":${JSON.stringify({ ...documentWith().keks['v1'], fingerprint: FP.other })},`,
        ),
    ],
    ['an unknown state', (text: string) => text.replace('"state":"current"', '"state":"erased"')],
    ['a KEK id of the wrong form', (text: string) => text.replace('"v1"', '"V1"')],
  ])('a keyring document with %s is refused, unchanged and not echoed', async (_, change) => {
    const domain = testDomain()
    await (await domain.open(ONLY_V1)).close()
    const document = await domain.store.readDocument('keyring')
    if (document === null) throw new Error('no keyring document')
    await domain.store.writeDocument('keyring', document.revision, change(document.value))
    const error: unknown = await domain.open(ONLY_V1).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'ERR_KEYRING_DOCUMENT' })
    expect(String(error)).not.toContain('CANARY')
    expect((await domain.store.readDocument('keyring'))?.revision).toBe(document.revision + 1)
  })

  test('unreadable reports in the fleet keep nobody from serving', async () => {
    const domain = testDomain()
    for (const [index, value] of ['', 'null', '{}', '{"keks":7}'].entries()) {
      await domain.store.writeDocument(`instance/x${index}`, 0, value)
    }
    const vault = kept(await domain.open(ONLY_V1))
    expect((await vault.status()).ready).toBe(true)
    expect(await vault.put('a', 'x')).toMatchObject({ outcome: 'created' })
  })
})

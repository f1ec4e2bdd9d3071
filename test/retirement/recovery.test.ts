import { inspectSealedKek } from '@talos/envelope'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { START_TIMEOUT_MS } from '../services/dynamodb-local.ts'
import { service } from '../services/service.ts'
import { STORES, type StoreName } from './matrix.ts'
import { ownServers, sceneOn } from './places.ts'
import type { Scene } from './scene.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: START_TIMEOUT_MS })

beforeAll(async () => {
  await Promise.all([service('redis'), service('dynamodb'), ownServers.postgres()])
})
afterAll(() => ownServers.stop())

const fingerprintOf = async (scene: Scene, kekId: string): Promise<string> =>
  inspectSealedKek(await scene.escrow(kekId)).fingerprint

async function epochOf(scene: Scene): Promise<number> {
  return JSON.parse((await scene.store.readDocument('keyring'))?.value ?? '').epoch
}

describe.each(Object.keys(STORES) as StoreName[])(
  'on %s, when the documents are lost and the records kept',
  (name) => {
    test('reads and deletes go on, writes and rotations are refused, and adopt makes the state anew', async () => {
      const scene = await sceneOn(name)
      const before = await scene.promoted()
      await before.put('b', 'y')
      await before.put('c', 'z')
      await scene.close()
      await scene.loseDocuments()

      const vault = await scene.open('v2', ['v1', 'v2'])
      const lost = { code: 'ERR_KEYRING_STATE_LOST' }
      expect(await vault.status()).toMatchObject({ ready: false, reasons: [lost] })
      const [a, b] = await vault.getMany(['a', 'b'])
      expect([a?.text(), a?.kekId, b?.text(), b?.kekId]).toEqual(['x', 'v1', 'y', 'v2'])
      await expect(vault.put('d', 'new')).rejects.toMatchObject(lost)
      await expect(vault.rotate()).rejects.toMatchObject(lost)
      await expect(vault.keks.checkRetirement('v1')).rejects.toMatchObject(lost)
      await vault.delete('c')
      expect(await scene.store.readDocument('keyring')).toBeNull()

      const { epoch } = await vault.adopt({ minEpoch: 11, reason: 'dropped by mistake', actor: 'alice' })
      expect(epoch).toBe(12)
      expect(await vault.status()).toMatchObject({ ready: true, currentKekId: 'v2', staleCounts: { v1: 1 } })
      const [done] = (await vault.auditEvents()).items
      expect(done).toMatchObject({
        action: 'adopt',
        phase: 'done',
        epoch: 12,
        actor: 'alice',
        details: { records: 2 },
      })
      await vault.put('d', 'new')
      expect((await vault.get('d'))?.kekId).toBe('v2')
      await scene.rotate(vault)
      const texts = (await vault.getMany(['a', 'b', 'c', 'd'])).map((secret) => secret?.text() ?? null)
      expect(texts).toEqual(['x', 'y', null, 'new'])
      // The escrow was noted in what is lost; all else holds again.
      const { reasons } = await vault.keks.checkRetirement('v1')
      expect(reasons.map(({ code }) => code)).toEqual(['escrow_not_recorded'])
      await expect(vault.adopt()).rejects.toMatchObject({ code: 'ERR_ADOPTION_REFUSED' })
    })

    test('adopt refuses records of two KEKs under one id, bytes that are not theirs, and a KEK that is not here', async () => {
      const scene = await sceneOn(name)
      const first = await scene.open('v1', ['v1'])
      await first.put('a', 'x')
      const [record] = await scene.store.read(['a'])
      await first.delete('a')
      await scene.close()
      await scene.loseDocuments()
      const second = await scene.open('v1', ['v1'], { bytes: { v1: 'v3' } })
      await second.put('b', 'y')
      await scene.putBack(record)
      await scene.close()
      await scene.loseDocuments()

      const refused = (says: string): object => ({
        code: 'ERR_ADOPTION_REFUSED',
        reasons: expect.arrayContaining([expect.stringContaining(says)]),
      })
      const both = await scene.open('v2', ['v2'])
      await expect(both.adopt()).rejects.toMatchObject(refused('two different KEKs of the id "v1"'))
      await both.delete('b')
      await scene.close()
      const other = await scene.open('v2', ['v1', 'v2'], { bytes: { v1: 'v3' } })
      const fingerprint = await fingerprintOf(scene, 'v1')
      await expect(other.adopt()).rejects.toMatchObject(refused(`KEK "v1" with fingerprint ${fingerprint}`))
      await expect(other.adopt({ currentKekId: 'v3' })).rejects.toMatchObject(
        refused('KEK "v3" is not loaded here'),
      )
      expect(await scene.store.readDocument('keyring')).toBeNull()
      await scene.close()
      const right = await scene.open('v2', ['v1', 'v2'])
      await right.adopt()
      expect((await right.get('a'))?.text()).toBe('x')
    })

    test('adopt goes above the epoch of every live instance, however low the one it is given', async () => {
      const scene = await sceneOn(name)
      const living = await scene.promoted()
      for (let times = 0; times < 3; times += 1) await living.keks.recordEscrow(await scene.escrow('v1'))
      const seen = await epochOf(scene)
      await scene.loseDocuments('keyring')
      const operator = await scene.open('v2', ['v1', 'v2'])
      expect(await operator.adopt({ minEpoch: 2 })).toEqual({ epoch: seen + 1 })
      // Whoever ran through it all goes on, and the gate sees nothing that went back.
      await living.put('b', 'y')
      expect((await operator.get('b'))?.text()).toBe('y')
      await operator.keks.recordEscrow(await scene.escrow('v1'))
      const { reasons } = await living.keks.checkRetirement('v1')
      expect(reasons.filter(({ clause }) => clause === 'S8')).toEqual([])
    })
  },
)

describe.each(Object.keys(STORES) as StoreName[])('on %s', (name) => {
  test('whoever slept through an adopt, or a document put back by hand, writes nothing with the guard from before', async () => {
    for (const way of ['adopt', 'put back'] as const) {
      const scene = await sceneOn(name)
      const early = await scene.open('v1', ['v1'])
      await early.put('a', 'x')
      const sleeper = await scene.open('v1', ['v1', 'v2'])
      await sleeper.keks.recordEscrow(await scene.escrow('v1'))
      await early.close()
      const copy = await scene.store.readDocument('keyring')
      await scene.loseDocuments()
      const operator = await (async () => {
        if (way === 'adopt') {
          const vault = await scene.open('v2', ['v1', 'v2'])
          await vault.adopt({ minEpoch: copy?.revision ?? 0 })
          return vault
        }
        await scene.store.writeDocument('keyring', 0, copy?.value ?? '')
        const vault = await scene.open('v2', ['v1', 'v2'])
        await vault.keks.promote('v2').catch(() => {})
        expect((await vault.status()).notices.join()).toContain('put back by hand')
        await vault.confirmStore()
        return vault
      })()
      const now = await scene.store.readDocument('keyring')
      expect(now?.revision).toBeGreaterThan(copy?.revision ?? 0)
      expect(now?.revision).toBeGreaterThanOrEqual(JSON.parse(now?.value ?? '').epoch)
      expect((await operator.status()).currentKekId).toBe('v2')
      await scene.rotate(operator)
      await operator.keks.recordEscrow(await scene.escrow('v1'))
      await sleeper.put('late', 'z')
      expect([...(await scene.store.census())]).toEqual([['v2', 2]])
      expect((await operator.keks.checkRetirement('v1')).reasons).toEqual([])
    }
  })

  test('a renewed incarnation ends retirements until somebody confirms the store; a new census then says SAFE', async () => {
    const scene = await sceneOn(name)
    const vault = await scene.rotated()
    expect((await vault.keks.checkRetirement('v1')).verdict).toBe('SAFE')
    const incarnation = await scene.store.renewIncarnation()
    const refused = await vault.keks.checkRetirement('v1')
    expect(refused.reasons.map(({ code }) => code)).toEqual(['incarnation_changed'])
    expect((await vault.status()).notices.join()).toContain('restored or failed over since KEK "v1"')
    const { epoch } = await vault.confirmStore({ reason: 'looked at it', actor: 'alice' })
    expect(epoch).toBe(refused.epoch + 1)
    const certificate = await vault.keks.checkRetirement('v1')
    expect(certificate).toMatchObject({ verdict: 'SAFE', incarnation, epoch })
    expect(certificate.evidence.S2.fence).toMatchObject({ incarnation, epoch })
    expect(certificate.evidence.S1.begunAt >= (certificate.evidence.S2.fence?.at ?? 'z')).toBe(true)
    expect((await vault.status()).notices).toEqual([])
    expect(await vault.keks.retire('v1')).toMatchObject({ verdict: 'SAFE' })
  })

  test('a retired KEK that comes back in the data alone is read, told, asked for, and rotated away', async () => {
    const scene = await sceneOn(name)
    const vault = await scene.promoted()
    const [record] = await scene.store.read(['a'])
    await scene.rotate(vault)
    await vault.keks.retire('v1')
    const without = await scene.open('v2', ['v2'])
    expect(await without.status()).toMatchObject({ ready: true })
    await scene.putBack(record)

    const secret = await vault.get('a')
    expect([secret?.text(), secret?.kekId]).toEqual(['x', 'v1'])
    await vault.get('a')
    const told = scene.events.filter(({ type }) => type === 'unexpected_kek')
    expect(told).toEqual([{ type: 'unexpected_kek', kekId: 'v1', state: 'retired' }])
    expect(await vault.keks.checkRetirement('v1')).toMatchObject({
      verdict: 'NOT_SAFE',
      state: 'retired',
      reasons: expect.arrayContaining([expect.objectContaining({ code: 'records_remain' })]),
      evidence: { S1: { records: 1 } },
    })

    const fingerprint = await fingerprintOf(scene, 'v1')
    await expect(without.get('a')).rejects.toMatchObject({
      code: 'ERR_KEK_NOT_LOADED',
      kekId: 'v1',
      message: expect.stringContaining(fingerprint),
    })
    expect(await without.status()).toMatchObject({
      ready: false,
      reasons: [{ code: 'ERR_KEK_NOT_LOADED', kekId: 'v1', fingerprint }],
    })
    const wrong = await scene.open('v2', ['v1', 'v2'], { bytes: { v1: 'v3' } })
    await expect(wrong.get('a')).rejects.toMatchObject({ code: 'ERR_KEK_MISMATCH', kekId: 'v1' })
    await wrong.close()

    await scene.rotate(vault)
    expect((await without.get('a'))?.text()).toBe('x')
    expect(await without.status()).toMatchObject({ ready: true, reasons: [], staleCounts: {} })
    expect(await vault.keks.checkRetirement('v1')).toMatchObject({
      verdict: 'SAFE',
      state: 'retired',
      evidence: { S1: { records: 0, census: { v2: 1 } } },
    })
    await expect(vault.keks.reactivate('v1')).rejects.toMatchObject({ code: 'ERR_TRANSITION_REFUSED' })
  })
})

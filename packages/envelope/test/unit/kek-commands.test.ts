import { type SecretVault, sealKek } from '@talos/envelope'
import { afterEach, describe, expect, test } from 'vitest'
import {
  BOTH_WISH_V2,
  finished,
  keys,
  ONLY_V1,
  ONLY_V2,
  type TestDomain,
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

/** A domain with one secret, rotated from v1 to v2, and an instance that holds both. */
async function rotated(): Promise<{ domain: TestDomain; vault: SecretVault }> {
  const domain = testDomain()
  const before = await domain.open(ONLY_V1)
  await before.put('a', 'x')
  await before.close()
  const vault = kept(await domain.open(BOTH_WISH_V2))
  const { id } = await vault.rotate()
  expect((await finished(domain, vault, id)).status).toBe('completed')
  return { domain, vault }
}

/** No store deletes this document; a restore of the secrets alone loses it. */
function loseKeyringDocument({ store }: TestDomain): void {
  let isLost = true
  const read = store.readDocument.bind(store)
  const write = store.writeDocument.bind(store)
  store.readDocument = async (key, options) => (key === 'keyring' && isLost ? null : read(key, options))
  store.writeDocument = async (key, expected, value, options) => {
    if (key !== 'keyring' || !isLost || expected !== 0) return await write(key, expected, value, options)
    isLost = false
    return await write(key, (await read(key))?.revision ?? 0, value, options)
  }
}

const escrow = (kekId: string, kek: Uint8Array): Promise<string> =>
  sealKek({ kekId, kek, for: { passphrase: 'correct horse battery staple ochre' } })

describe('the life of a KEK, by commands', () => {
  test('is safe to retire once escrowed, leaves a tombstone, and stays ready without its bytes', async () => {
    const { domain, vault } = await rotated()
    const before = await vault.keks.checkRetirement('v1')
    expect(before.reasons.map(({ clause, code }) => `${clause} ${code}`)).toEqual(['S9 escrow_not_recorded'])
    await vault.keks.recordEscrow(await escrow('v1', V1), { reason: 'ceremony', actor: 'alice' })
    const certificate = await vault.keks.checkRetirement('v1')
    expect(certificate).toMatchObject({ verdict: 'SAFE', reasons: [], kekId: 'v1', namespace: 'gateway' })
    expect(JSON.parse(JSON.stringify(certificate))).toEqual(certificate)
    expect(await vault.keks.retire('v1')).toMatchObject({ verdict: 'SAFE' })
    await vault.close()
    const after = kept(await domain.open(ONLY_V2))
    const status = await after.status()
    expect(status).toMatchObject({ ready: true, reasons: [] })
    expect(status.keks.find(({ id }) => id === 'v1')).toMatchObject({ state: 'retired', records: 0 })
    expect(status.staleCounts).toEqual({})
    await expect(after.keks.reactivate('v1')).rejects.toMatchObject({ code: 'ERR_TRANSITION_REFUSED' })
  })

  test('every command leaves intent and outcome in the audit, with who and why', async () => {
    const { vault } = await rotated()
    await vault.keks.suspend('v1', { reason: 'rehearsal', actor: 'alice' })
    await vault.keks.resume('v1')
    await expect(vault.keks.retire('v1')).rejects.toMatchObject({ code: 'ERR_NOT_SAFE_TO_RETIRE' })
    const { items } = await vault.auditEvents()
    const lines = items.map(({ action, phase, kekId }) => `${action} ${phase} ${kekId}`).reverse()
    expect(lines).toEqual([
      'promote intent v2',
      'promote done v2',
      'rotate intent v2',
      'rotate done v2',
      'suspend intent v1',
      'suspend done v1',
      'resume intent v1',
      'resume done v1',
      'retire intent v1',
      'retire failed v1',
    ])
    expect(items.find(({ action }) => action === 'suspend')).toMatchObject({
      reason: 'rehearsal',
      actor: 'alice',
    })
  })

  test('a suspended KEK opens nothing and says so, also for an envelope that came back; resume undoes it at once', async () => {
    const { domain, vault } = await rotated()
    const [record] = await domain.store.read(['a'])
    await vault.keks.suspend('v1')
    // Somebody writes an old record behind the store's guard.
    const old = testDomain()
    const writer = await old.open(ONLY_V1)
    await writer.put('a', 'x')
    const [stale] = await old.store.read(['a'])
    await writer.close()
    if (!record || !stale) throw new Error('no record')
    const guard = (await domain.store.readDocument('keyring'))?.revision ?? 0
    await domain.store.write(guard, [{ kind: 'replace', expectedWrap: record.wrap, secret: stale }])
    await expect(vault.get('a')).rejects.toMatchObject({ code: 'ERR_KEK_NOT_ALLOWED', kekId: 'v1' })
    expect(domain.events).toContainEqual({ type: 'unexpected_kek', kekId: 'v1', state: 'suspended' })
    await vault.keks.resume('v1')
    expect((await vault.get('a'))?.text()).toBe('x')
  })

  test('is not suspended while secrets are under it', async () => {
    const domain = testDomain()
    const before = await domain.open(ONLY_V1)
    await before.put('a', 'x')
    await before.close()
    const vault = kept(await domain.open(BOTH_WISH_V2))
    await expect(vault.keks.suspend('v1')).rejects.toMatchObject({ code: 'ERR_TRANSITION_REFUSED' })
    expect((await vault.get('a'))?.text()).toBe('x')
  })

  test('reactivate makes a former KEK current again, once, and an environment change never does', async () => {
    const { vault } = await rotated()
    const { epoch } = await vault.keks.reactivate('v1', { reason: 'v2 came from a bad batch' })
    expect((await vault.status()).currentKekId).toBe('v1')
    await vault.put('b', 'y')
    expect((await vault.get('b'))?.kekId).toBe('v1')
    await expect(vault.keks.reactivate('v2', { expectedEpoch: epoch - 1 })).rejects.toMatchObject({
      code: 'ERR_EPOCH_CHANGED',
    })
  })

  test('promotes without a restart when its bytes are there, and names whoever lacks them', async () => {
    const domain = testDomain()
    const vault = kept(await domain.open(keys('v1', { v1: V1, v2: V2 }), { process: 'a/1' }))
    const other = kept(await domain.open(ONLY_V1, { process: 'b/1' }))
    await expect(vault.keks.promote('v2')).rejects.toMatchObject({
      code: 'ERR_PROMOTION_BLOCKED',
      reasons: [expect.stringContaining('b/1 does not hold KEK "v2"')],
    })
    await expect(vault.keks.promote('v2', { skipInstances: [other.instanceId] })).rejects.toThrow(TypeError)
    const skip = { skipInstances: [other.instanceId], reason: 'b/1 hangs and cannot be stopped' }
    await vault.keks.promote('v2', skip)
    expect((await vault.status()).currentKekId).toBe('v2')
  })

  test('a compromised KEK never comes back, and rotations ask whether that is understood', async () => {
    const { vault } = await rotated()
    await vault.keks.markCompromised('v1', { reason: 'seen in a log' })
    await expect(vault.keks.reactivate('v1')).rejects.toMatchObject({ code: 'ERR_KEK_COMPROMISED' })
    await expect(vault.rotate()).rejects.toMatchObject({ code: 'ERR_KEK_COMPROMISED' })
    expect((await vault.rotate({ acknowledgeCompromised: true })).started).toBe(true)
    const before = await vault.get('a')
    expect(await vault.reencrypt('a')).toEqual({
      outcome: 'reencrypted',
      version: (before?.version ?? 0) + 1,
    })
    expect((await vault.get('a'))?.text()).toBe('x')
  })

  test('a sealed KEK of other bytes is not recorded as the escrow', async () => {
    const { vault } = await rotated()
    const sealed = await escrow('v1', V3)
    await expect(vault.keks.recordEscrow(sealed)).rejects.toMatchObject({ code: 'ERR_TRANSITION_REFUSED' })
  })
})

describe('after a loss', () => {
  test('writes are refused until adopt, which binds what the records say', async () => {
    const { domain, vault } = await rotated()
    await vault.close()
    loseKeyringDocument(domain)
    const after = kept(await domain.open(BOTH_WISH_V2))
    await expect(after.put('b', 'y')).rejects.toMatchObject({ code: 'ERR_KEYRING_STATE_LOST' })
    const { epoch } = await after.adopt({ minEpoch: 7, reason: 'documents lost' })
    expect(epoch).toBe(8)
    await after.put('b', 'y')
    expect((await after.get('a'))?.text()).toBe('x')
    await expect(after.adopt()).rejects.toMatchObject({ code: 'ERR_ADOPTION_REFUSED' })
  })
})

import { inspect } from 'node:util'
import { type ImportOptions, isEnvelopeError, openVault, type SecretVault } from '@talos/envelope'
import { interceptStore } from '@talos/envelope/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { CANARY_KEK, CANARY_SECRET, findCanaries } from '../../../../test/canaries.ts'
import { seal } from '../../src/crypto/aead.ts'
import { HEX, OLDER, PUBLISHED, type Sample, WITHOUT_AAD, withMembers } from '../support/talos-v1.ts'
import {
  BOTH_WISH_V1,
  BOTH_WISH_V2,
  keys,
  ONLY_V1,
  outcomeUnknown,
  type TestDomain,
  testDomain,
  V1,
  V2,
  wrapOf,
} from '../support/vaults.ts'

const open: SecretVault[] = []
afterEach(async () => {
  for (const vault of open.splice(0)) await vault.close()
})
const kept = (vault: SecretVault): SecretVault => {
  open.push(vault)
  return vault
}

const NAME = 'openai/prod'

function optionsOf({ kekId, key, aad }: Sample, more: Partial<ImportOptions> = {}): ImportOptions {
  return { name: NAME, keys: [{ kekId, key, aad }], insecureAllowWeakKey: true, ...more }
}

/** An envelope of the older format under any key. */
function v1Envelope(key: Uint8Array, value: string, aad: string, kekId = 'old'): string {
  const sealed = Buffer.from(seal(key, Buffer.alloc(12, 7), Buffer.from(aad), Buffer.from(value)))
  const part = (start: number, end?: number) => sealed.subarray(start, end).toString('base64url')
  return JSON.stringify({
    kek_id: kekId,
    nonce_b64u: part(0, 12),
    ciphertext_b64u: part(12, -16),
    tag_b64u: part(-16),
  })
}

/** A vault whose store counts writes of records. */
async function countingVault(domain: TestDomain): Promise<{ vault: SecretVault; writes: () => number }> {
  let writes = 0
  const store = interceptStore(domain.store, (call) => {
    if (call.method === 'write') writes += 1
    return call.proceed()
  })
  return { vault: kept(await domain.open(ONLY_V1, { store })), writes: () => writes }
}

async function failure(promise: Promise<unknown>): Promise<Error> {
  const error: unknown = await promise.then(
    () => new Error('This was expected to fail.'),
    (thrown: unknown) => thrown,
  )
  return error as Error
}

describe('an import', () => {
  test.each([
    ['published', PUBLISHED],
    ['without an AAD of its own', WITHOUT_AAD],
    ['in the hexadecimal shape', HEX],
    ['bound to its name, under a strong key', OLDER],
  ])('puts the value of the envelope %s under the current KEK, as v2', async (_, sample) => {
    const domain = testDomain()
    const vault = kept(await domain.open(ONLY_V1))
    expect(await vault.import(sample.envelope, optionsOf(sample))).toEqual({ outcome: 'created', version: 1 })
    const secret = await vault.get(NAME)
    expect([secret?.text(), secret?.version, secret?.kekId]).toEqual([sample.value, 1, 'v1'])
    // The KEK of the store and the key of the envelope share the id "v1" and nothing else.
    expect(await wrapOf(domain.store, NAME)).toMatch(/^talos:v2:v1:[A-Za-z0-9_-]+$/)
  })

  test('keeps nothing of the old envelope in the store', async () => {
    const domain = testDomain()
    await kept(await domain.open(ONLY_V1)).import(PUBLISHED.envelope, optionsOf(PUBLISHED))
    const [record] = await domain.store.read([NAME])
    const documents = await domain.store.listDocuments({ prefix: '', cursor: null, limit: 100 })
    const stored = Buffer.from(JSON.stringify([record?.wrap, record?.meta, documents])).toString()
    const ciphertext = 'EfwRMzbLmgBthjSVUAfav-cjSjP6M19wBA'
    for (const part of [ciphertext, 'nonce_b64u', 'stYFmi4FzkahBIpIHyvXBA', PUBLISHED.aad]) {
      expect(stored).not.toContain(part)
    }
    expect(Buffer.from(record?.sealed ?? []).includes(Buffer.from(ciphertext, 'base64url'))).toBe(false)
  })

  test('binds the value to the context it is given', async () => {
    const vault = kept(await testDomain().open(ONLY_V1))
    const context = { tenant: 'acme' }
    await vault.import(OLDER.envelope, optionsOf(OLDER, { context }))
    expect((await vault.get(NAME, { context }))?.text()).toBe(OLDER.value)
    await expect(vault.get(NAME)).rejects.toMatchObject({ reason: 'commitment_mismatch' })
  })

  test('may be repeated: what is there, older or newer, is answered and not overwritten', async () => {
    const { vault, writes } = await countingVault(testDomain())
    const again = (more?: Partial<ImportOptions>) => vault.import(OLDER.envelope, optionsOf(OLDER, more))
    expect(await again()).toEqual({ outcome: 'created', version: 1 })
    expect(await again()).toEqual({ outcome: 'conflict', version: 1 })
    expect(await again({ expectedVersion: null })).toEqual({ outcome: 'conflict', version: 1 })
    await vault.put(NAME, 'a newer value')
    expect(await again()).toEqual({ outcome: 'conflict', version: 2 })
    expect((await vault.get(NAME))?.text()).toBe('a newer value')
    expect(writes()).toBe(2)
    expect(await again({ expectedVersion: 2 })).toEqual({ outcome: 'replaced', version: 3 })
    expect((await vault.get(NAME))?.text()).toBe(OLDER.value)
  })

  test('whose answer was lost is told as done, once', async () => {
    const domain = testDomain()
    let cut = true
    const store = interceptStore(domain.store, async (call) => {
      const answer = await call.proceed()
      if (call.method !== 'write' || !cut) return answer
      cut = false
      throw outcomeUnknown()
    })
    const vault = kept(await domain.open(ONLY_V1, { store }))
    expect(await vault.import(OLDER.envelope, optionsOf(OLDER))).toEqual({ outcome: 'created', version: 1 })
  })

  test('of many keys takes the one of the envelope, and reads all of them before it returns its promise', async () => {
    const vault = kept(await testDomain().open(ONLY_V1))
    const key = OLDER.key.slice()
    const other = { kekId: 'V1', key: V2.slice(), aad: OLDER.aad }
    const imported = vault.import(OLDER.envelope, { name: NAME, keys: [other, { ...OLDER, key }] })
    key.fill(0)
    other.key.fill(0)
    expect(await imported).toEqual({ outcome: 'created', version: 1 })
  })

  test('has the limits of put, and its deadline', async () => {
    const domain = testDomain()
    const small = kept(
      await openVault({ store: domain.store, keys: ONLY_V1, namespace: 'gateway', maxValueBytes: 8 }),
    )
    await expect(small.import(OLDER.envelope, optionsOf(OLDER))).rejects.toMatchObject({
      code: 'ERR_VALUE_TOO_LARGE',
    })
    const signal = AbortSignal.abort()
    await expect(small.import(OLDER.envelope, optionsOf(OLDER, { signal }))).rejects.toThrow()
    await small.close()
    await expect(small.import(OLDER.envelope, optionsOf(OLDER))).rejects.toMatchObject({
      code: 'ERR_VAULT_CLOSED',
    })
    expect((await domain.store.census()).size).toBe(0)
  })

  test('is misused with a TypeError', async () => {
    const { vault, writes } = await countingVault(testDomain())
    const [key] = optionsOf(OLDER).keys
    const wrong: readonly unknown[] = [
      undefined,
      {},
      { keys: [key] },
      { name: NAME },
      { name: NAME, keys: [] },
      { name: NAME, keys: key },
      { name: NAME, keys: [null] },
      { name: NAME, keys: [{ ...key, kekId: '' }] },
      { name: NAME, keys: [{ ...key, kekId: 'k'.repeat(256) }] },
      { name: NAME, keys: [{ ...key, kekId: '\ud800' }] },
      { name: NAME, keys: [{ ...key, key: OLDER.key.toString() }] },
      { name: NAME, keys: [{ kekId: 'v1', key: OLDER.key }] },
      { name: NAME, keys: [{ ...key, aad: null }] },
      { name: NAME, keys: [{ ...key, aad: '\ud800' }] },
      { name: NAME, keys: [key, key] },
      { name: '', keys: [key] },
      { name: NAME, keys: [key], expectedVersion: 0 },
      { name: NAME, keys: [key], context: { name: 'x' } },
      { name: NAME, keys: [key], timeoutMs: 0 },
    ]
    for (const options of wrong) {
      await expect(vault.import(OLDER.envelope, options as never)).rejects.toThrow(TypeError)
    }
    await expect(vault.import(Buffer.from(OLDER.envelope) as never, optionsOf(OLDER))).rejects.toThrow(
      TypeError,
    )
    expect(writes()).toBe(0)
  })

  test('that fails writes nothing', async () => {
    const { vault, writes } = await countingVault(testDomain())
    const refusals: readonly [string, Partial<Sample>, object][] = [
      [`${OLDER.envelope} x`, {}, { code: 'ERR_ENVELOPE_MALFORMED', reason: 'malformed' }],
      [OLDER.envelope, { kekId: 'v2' }, { code: 'ERR_DECRYPT_FAILED', reason: 'kek_unknown', kekId: 'v1' }],
      [PUBLISHED.envelope, {}, { code: 'ERR_DECRYPT_FAILED', reason: 'aad_mismatch', kekId: 'v1' }],
      [OLDER.envelope, { aad: 'x' }, { code: 'ERR_DECRYPT_FAILED', reason: 'payload_corrupt', kekId: 'v1' }],
      [OLDER.envelope, { key: V2 }, { code: 'ERR_DECRYPT_FAILED', reason: 'payload_corrupt', kekId: 'v1' }],
    ]
    for (const [envelope, change, expected] of refusals) {
      await expect(vault.import(envelope, optionsOf({ ...OLDER, ...change }))).rejects.toMatchObject(expected)
    }
    expect(writes()).toBe(0)
  })
})

describe('a weak import key', () => {
  const weak: readonly [string, Uint8Array, RegExp][] = [
    ['the published one', PUBLISHED.key, /all 32 bytes are printable ASCII/],
    ['one byte repeated', new Uint8Array(32).fill(0x8a), /fewer than 12 distinct bytes/],
    ['a password', Buffer.from('correct horse battery staple 123'), /printable ASCII/],
  ]

  test.each(weak)('is refused, and taken with insecureAllowWeakKey: %s', async (_, key, fault) => {
    const { vault, writes } = await countingVault(testDomain())
    const envelope = v1Envelope(key, 'x', 'a')
    const options = { name: NAME, keys: [{ kekId: 'old', key, aad: 'a' }] }
    for (const insecureAllowWeakKey of [undefined, false, 'yes', 1]) {
      const error = await failure(vault.import(envelope, { ...options, insecureAllowWeakKey } as never))
      expect(error).toMatchObject({ code: 'ERR_KEY_CONFIGURATION', faults: [{ variable: 'keys[0].key' }] })
      expect(error.message).toMatch(fault)
      expect(error.message).toContain('insecureAllowWeakKey')
      expect(error.message).not.toContain('generateKek')
    }
    expect(writes()).toBe(0)
    const flagged = { ...options, insecureAllowWeakKey: true }
    expect(await vault.import(envelope, flagged)).toMatchObject({ outcome: 'created' })
  })

  test('of another length is refused even so, and all faults are told at once', async () => {
    const vault = kept(await testDomain().open(ONLY_V1))
    const given = [PUBLISHED.key, V2.subarray(1), V2, new Uint8Array()]
    const faultsOf = async (insecureAllowWeakKey: boolean): Promise<unknown> => {
      const all = given.map((key, index) => ({ kekId: `${index}`, key, aad: '' }))
      const error = await failure(vault.import('{}', { name: NAME, keys: all, insecureAllowWeakKey }))
      return (error as unknown as { faults: readonly { variable: string }[] }).faults.map(
        ({ variable }) => variable,
      )
    }
    expect(await faultsOf(false)).toEqual(['keys[0].key', 'keys[1].key', 'keys[3].key'])
    expect(await faultsOf(true)).toEqual(['keys[1].key', 'keys[3].key'])
  })
})

describe('a KEK with the bytes of an import key', () => {
  const importUnder = (vault: SecretVault, key: Uint8Array, name = NAME): Promise<unknown> =>
    vault.import(v1Envelope(key, 'x', 'a'), { name, keys: [{ kekId: 'old', key, aad: 'a' }] })

  test('is refused while it is current, whatever the ids: nothing is opened, written or remembered', async () => {
    const { vault, writes } = await countingVault(testDomain())
    const error = await failure(importUnder(vault, V1))
    expect(error).toMatchObject({ code: 'ERR_KEK_NOT_ALLOWED', kekId: 'v1' })
    expect(error.message).toMatch(/same bytes as the current KEK "v1".*Generate a new KEK.*Nothing was/)
    // Also where the envelope is under another key that was given.
    const both = [
      { kekId: 'a', key: V1, aad: '' },
      { kekId: 'old', key: V2, aad: 'a' },
    ]
    const refused = vault.import(v1Envelope(V2, 'x', 'a'), { name: NAME, keys: both })
    await expect(refused).rejects.toMatchObject({ code: 'ERR_KEK_NOT_ALLOWED' })
    // And where the envelope would not open.
    const damaged = vault.import(v1Envelope(V1, 'x', 'b'), {
      name: NAME,
      keys: [{ ...both[0], kekId: 'old' } as never],
    })
    await expect(damaged).rejects.toMatchObject({ code: 'ERR_KEK_NOT_ALLOWED' })
    expect(writes()).toBe(0)
    expect(await vault.put(NAME, 'y')).toEqual({ outcome: 'created', version: 1 })
    expect(vault.ready).toBe(true)
  })

  test('goes on opening what is under it once another one is current', async () => {
    const domain = testDomain()
    await kept(await domain.open(ONLY_V1)).put('old', 'y')
    await open.pop()?.close()
    const vault = kept(await domain.open(BOTH_WISH_V2))
    expect(await importUnder(vault, V1)).toEqual({ outcome: 'created', version: 1 })
    expect((await vault.get('old'))?.text()).toBe('y')
    expect((await vault.get(NAME))?.kekId).toBe('v2')
    const { id } = await vault.rotate()
    await domain.clock.advance(5000)
    expect(await vault.rotations.get(id)).toMatchObject({ status: 'completed' })
    expect(await wrapOf(domain.store, 'old')).toMatch(/^talos:v2:v2:/)
  })

  test('is kept from being promoted while the vault that imported is open', async () => {
    const domain = testDomain()
    const importer = kept(await domain.open(BOTH_WISH_V1, { process: 'importer/1' }))
    await importUnder(importer, V2)
    await domain.clock.advance(5000)
    const wisher = kept(await domain.open(BOTH_WISH_V2, { process: 'new/2' }))
    const { pending, currentKekId } = await wisher.status()
    expect(currentKekId).toBe('v1')
    expect(pending?.waitingFor).toMatchObject([{ process: 'importer/1', reason: 'decrypt_only' }])
    expect(pending?.waitingFor[0]?.message).toMatch(/given to import, and a new KEK is needed/)
    await domain.clock.advance(20_000)
    expect((await wisher.status()).currentKekId).toBe('v1')
    await importer.close()
    await domain.clock.advance(6000)
    expect((await wisher.status()).currentKekId).toBe('v2')
  })

  test('never wraps even where it was promoted in between: that vault refuses to write and is not ready', async () => {
    const domain = testDomain()
    const importer = kept(await domain.open(BOTH_WISH_V1, { process: 'importer/1' }))
    await importUnder(importer, V2, 'first')
    // Before the importer's next heartbeat.
    const wisher = kept(await domain.open(BOTH_WISH_V2, { process: 'new/2' }))
    expect((await wisher.status()).currentKekId).toBe('v2')
    await expect(importUnder(importer, V2)).rejects.toMatchObject({
      code: 'ERR_KEK_NOT_ALLOWED',
      kekId: 'v2',
    })
    await expect(importer.put(NAME, 'y')).rejects.toMatchObject({ code: 'ERR_KEK_NOT_ALLOWED', kekId: 'v2' })
    expect((await importer.get('first'))?.text()).toBe('x')
    await domain.clock.advance(6000)
    expect(importer.ready).toBe(false)
    const { id } = await importer.rotate()
    await domain.clock.advance(6000)
    expect(await wisher.rotations.get(id)).toMatchObject({ status: 'completed' })
    expect(await wisher.put(NAME, 'y')).toEqual({ outcome: 'created', version: 1 })
  })
})

describe('key, value and envelope', () => {
  test('show in no error of an import', async () => {
    const vault = kept(await testDomain().open(keys('v1', { v1: V1 })))
    const canary = { kekId: 'old', key: CANARY_KEK, aad: 'a' }
    const keyText = Buffer.from(CANARY_KEK).toString('base64url')
    const good = v1Envelope(CANARY_KEK, CANARY_SECRET, 'a')
    const spoilt = [
      CANARY_SECRET,
      keyText,
      `{"kek_id":"${CANARY_SECRET}"}`,
      `{"${CANARY_SECRET}":"${keyText}"}`,
      `${good}${CANARY_SECRET}`,
      ...['kek_id', 'nonce_b64u', 'ciphertext_b64u', 'tag_b64u', 'aad_b64u'].flatMap((member) => [
        withMembers(good, { [member]: CANARY_SECRET }),
        withMembers(good, { [member]: keyText }),
        withMembers(good, { [member]: [keyText] }),
      ]),
      ...['schema_version', 'iv', 'tag', 'created_at', 'alg'].map((member) =>
        withMembers(HEX.envelope, { [member]: CANARY_SECRET }),
      ),
    ]
    const errors = await Promise.all([
      ...spoilt.map((envelope) => failure(vault.import(envelope, { name: NAME, keys: [canary] }))),
      failure(vault.import(good, { name: NAME, keys: [{ ...canary, aad: CANARY_SECRET }] })),
      failure(vault.import(good, { name: NAME, keys: [{ ...canary, aad: `${CANARY_SECRET}\ud800` }] })),
      failure(vault.import(good, { name: NAME, keys: [{ ...canary, key: keyText as never }] })),
      failure(vault.import(good, { name: NAME, keys: [{ ...canary, key: CANARY_KEK.subarray(1) }] })),
      failure(vault.import(good, { name: NAME, keys: [{ ...canary, key: Buffer.from(CANARY_SECRET) }] })),
      failure(vault.import(good, { name: NAME, keys: [{ ...canary, kekId: `${CANARY_SECRET}\ud800` }] })),
      failure(vault.import(good, { name: NAME, keys: canary as never })),
      failure(vault.import(good, { name: '', keys: [canary] })),
    ])
    const own = kept(await testDomain().open(keys('v1', { v1: CANARY_KEK })))
    errors.push(await failure(own.import(good, { name: NAME, keys: [canary] })))
    expect(errors.every((error) => isEnvelopeError(error) || error instanceof TypeError)).toBe(true)
    const printed = errors.flatMap((error) => [
      inspect(error, { depth: 12, showHidden: true, getters: true }),
      JSON.stringify(error),
      String(error.stack),
    ])
    expect(printed.flatMap(findCanaries)).toEqual([])
    expect(await vault.import(good, { name: NAME, keys: [canary] })).toMatchObject({ outcome: 'created' })
    expect((await vault.get(NAME))?.text() === CANARY_SECRET).toBe(true)
  })
})

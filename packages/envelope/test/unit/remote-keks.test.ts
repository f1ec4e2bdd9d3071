import { inspect } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { CANARY_DEK, CANARY_SECRET, findCanaries } from '../../../../test/canaries.ts'
import { MAX_REMOTE_WRAPPED_DEK_BYTES } from '../../src/format/envelope-v2.ts'
import {
  type Codec,
  createCodec,
  directoryKeys,
  environmentKeys,
  explicitKeys,
  KeyError,
  type KeyProvider,
  ProviderError,
  type RewrapResult,
} from '../../src/index.ts'
import {
  createRemoteKek,
  isTested,
  testRemoteKek,
  unwrapKeyRemotely,
  wrapKeyRemotely,
} from '../../src/keyring/remote-kek.ts'
import { counting, joinParts, KNOWN, partsOf, text } from '../sample.ts'
import { type FakeKms, startFakeKms } from '../support/fake-kms.ts'

const ARN = 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab'
const OTHER_ARN = ARN.replace('1234abcd', '4321dcba')
const CONTEXT = { name: 'openai/prod', namespace: 'gateway' }
const FROM_NODE = Buffer.from(KNOWN.kekBytes).toString('base64url')

let kms: FakeKms
beforeAll(async () => {
  kms = await startFakeKms()
})
afterAll(() => kms.close())
beforeEach(() => {
  kms.disturb = () => null
  kms.latencyMs = 0
})

/** A codec that holds v1 locally and the given providers, and wraps under one of them. */
function codecFor(currentKekId: string, providers: Readonly<Record<string, KeyProvider>>): Promise<Codec> {
  const keks = { v1: KNOWN.kekBytes, ...providers }
  return createCodec({ keys: explicitKeys({ currentKekId, keks }) })
}

/** A provider in this process, for answers that no service would give. */
function provider(parts: Partial<KeyProvider>): KeyProvider {
  return {
    provider: 'aws-kms',
    key: ARN,
    wrapKey: async (dek) => Uint8Array.from(dek, (byte) => byte ^ 0xff),
    unwrapKey: async (wrapped) => Uint8Array.from(wrapped, (byte) => byte ^ 0xff),
    ...parts,
  }
}

const failureOf = (action: Promise<unknown>): Promise<unknown> =>
  action.then(
    () => new Error('This was expected to fail.'),
    (error: unknown) => error,
  )

describe('a remote KEK', () => {
  it('has the fingerprint of its provider and key, and prints nothing else', async () => {
    const keyring = await explicitKeys({ currentKekId: 'kms1', keks: { kms1: kms.key(ARN) } }).load()
    const kek = keyring.get('kms1')
    expect({ ...kek }).toEqual({ id: 'kms1', fingerprint: 'cdc71d873aa0d617', suite: '0002' })
    expect(`${kek} ${inspect(kek)} ${inspect(kek, { customInspect: false, depth: 5 })}`).not.toMatch(
      /arn|127/,
    )
    expect(String(keyring)).toBe('[keyring kms1 cdc71d873aa0d617 current]')
    expect(() => Object.assign(kek as object, { id: 'v2' })).toThrow(TypeError)
  })

  it('is loaded without a call to its provider', async () => {
    const before = kms.requests()
    await codecFor('kms1', { kms1: kms.key(ARN) })
    expect(kms.requests()).toBe(before)
  })

  it('stands beside local ones in every key source', async () => {
    const remoteKeks = { kms1: kms.key(ARN) }
    const environment = { TALOS_KEK_v1: FROM_NODE, TALOS_CURRENT_KEK_ID: 'kms1' }
    expect((await environmentKeys({ environment, remoteKeks }).load()).ids).toEqual(['kms1', 'v1'])
    const alone = { TALOS_CURRENT_KEK_ID: 'kms1' }
    expect((await environmentKeys({ environment: alone, remoteKeks }).load()).ids).toEqual(['kms1'])
    const source = directoryKeys({ path: '/nowhere/at/all', currentKekId: 'kms1', remoteKeks })
    await expect(source.load()).rejects.toHaveProperty('faults.length', 1)
  })

  it.each<[string, Readonly<Record<string, KeyProvider>>, RegExp]>([
    ['an empty name of its key', { kms1: provider({ key: '' }) }, /^keks\.kms1 names no key/],
    ['white space in it', { kms1: provider({ key: `${ARN} ` }) }, /^keks\.kms1 names a key with white space/],
    ['a line in it', { kms1: provider({ key: `${ARN}\n` }) }, /^keks\.kms1 names a key with white space/],
    ['a lone surrogate in it', { kms1: provider({ key: '\ud800' }) }, /^keks\.kms1 names a key with/],
    ['2,049 bytes', { kms1: provider({ key: 'a'.repeat(2_049) }) }, /more than 2048 bytes/],
    ['an alias', { kms1: provider({ key: 'alias/talos' }) }, /^keks\.kms1 names an alias/],
    ['the ARN of an alias', { kms1: provider({ key: ARN.replace('key/', 'alias/') }) }, /names an alias/],
    [
      'the key of another id',
      { kms1: provider({}), kms2: provider({}) },
      /^keks\.kms2 names the same key as keks\.kms1/,
    ],
    ['an illegal id', { KMS1: provider({}) }, /^keks\.KMS1 has an upper-case id/],
  ])('is refused with %s', async (_, keks, pattern) => {
    const failure = await failureOf(
      explicitKeys({ currentKekId: 'v1', keks: { v1: KNOWN.kekBytes, ...keks } }).load(),
    )
    if (!(failure instanceof KeyError)) throw failure
    expect(failure.faults).toHaveLength(1)
    expect(`${failure.faults[0]?.variable} ${failure.faults[0]?.fault}`).toMatch(pattern)
    expect(failure.message).not.toContain('111122223333')
  })

  it.each<[string, unknown]>([
    ['another provider', provider({ provider: 'my-kms' as never })],
    ['no key', provider({ key: undefined as never })],
    ['no function to wrap', provider({ wrapKey: undefined as never })],
    ['no function to unwrap', provider({ unwrapKey: 'unwrap' as never })],
    ['null', null],
    ['text', ARN],
  ])('refuses %s as misuse', (_, kek) => {
    const keks = { kms1: kek as KeyProvider }
    expect(() => explicitKeys({ currentKekId: 'kms1', keks })).toThrow(TypeError)
    expect(() => environmentKeys({ environment: {}, remoteKeks: keks })).toThrow(TypeError)
    expect(() => directoryKeys({ path: '/keys', currentKekId: 'kms1', remoteKeks: keks })).toThrow(TypeError)
  })
})

describe('an envelope of suite 0002', () => {
  it('opens to its value, and says which suite it is of', async () => {
    const codec = await codecFor('kms1', { kms1: kms.key(ARN) })
    const envelope = await codec.wrap('sk-live-example', CONTEXT)
    expect(codec.peek(envelope)).toMatchObject({
      kekId: 'kms1',
      suite: '0002',
      fingerprint: 'cdc71d873aa0d617',
    })
    expect(text(await codec.unwrap(envelope, CONTEXT))).toBe('sk-live-example')
    await expect(codec.unwrap(envelope, { ...CONTEXT, name: 'x' })).rejects.toMatchObject({
      reason: 'commitment_mismatch',
    })
    const parts = partsOf(envelope)
    const altered = joinParts({
      ...parts,
      sealed: parts.sealed.map((byte, at) => (at === 13 ? byte ^ 1 : byte)),
    })
    await expect(codec.unwrap(altered, CONTEXT)).rejects.toMatchObject({ reason: 'payload_corrupt' })
  })

  it('comes from 0001 and goes back with the same commitment and sealed part, and the first text', async () => {
    const local = await codecFor('v1', { kms1: kms.key(ARN) })
    const remote = await codecFor('kms1', { kms1: kms.key(ARN) })
    const first = await local.wrap('value', CONTEXT)
    const second = await remote.rewrap(first, CONTEXT)
    const third = await local.rewrap(second, CONTEXT)
    const [a, b] = [partsOf(first), partsOf(second)]
    expect(b.sealed).toEqual(a.sealed)
    expect(b.wrap.subarray(10, 42)).toEqual(a.wrap.subarray(10, 42))
    expect(second.startsWith('talos:v2:kms1:')).toBe(true)
    expect(third).toBe(first)
    expect(text(await local.unwrap(second, CONTEXT))).toBe('value')
    expect(await remote.rewrap(second, CONTEXT)).toBe(second)
  })

  it('moves from one provider to another', async () => {
    const providers = { kms1: kms.key(ARN), kms2: kms.key(OTHER_ARN, 'vault-transit') }
    const envelope = await (await codecFor('kms1', providers)).wrap('value', CONTEXT)
    const codec = await codecFor('kms2', providers)
    const moved = await codec.rewrap(envelope, CONTEXT)
    expect(codec.peek(moved).kekId).toBe('kms2')
    expect(text(await codec.unwrap(moved, CONTEXT))).toBe('value')
  })

  it('is refused under another key or another provider as kek_mismatch, without a call', async () => {
    const envelope = await (await codecFor('kms1', { kms1: kms.key(ARN) })).wrap('value', CONTEXT)
    const before = kms.requests()
    for (const other of [kms.key(OTHER_ARN), kms.key(ARN, 'vault-transit')]) {
      const codec = await codecFor('kms1', { kms1: other })
      await expect(codec.unwrap(envelope, CONTEXT)).rejects.toMatchObject({ reason: 'kek_mismatch' })
      await expect(codec.rewrap(envelope, CONTEXT)).rejects.toMatchObject({ reason: 'kek_mismatch' })
    }
    expect(kms.requests()).toBe(before)
  })

  it('is refused under a KEK of suite 0001 as kek_not_allowed, and the other way round', async () => {
    const remote = await codecFor('kms1', { kms1: kms.key(ARN) })
    const bytes = counting(0x80, 32)
    const local = await createCodec({ keys: explicitKeys({ currentKekId: 'kms1', keks: { kms1: bytes } }) })
    const of0002 = await remote.wrap('value', CONTEXT)
    const of0001 = await local.wrap('value', CONTEXT)
    await expect(local.unwrap(of0002, CONTEXT)).rejects.toMatchObject({ reason: 'kek_not_allowed' })
    await expect(remote.unwrap(of0001, CONTEXT)).rejects.toMatchObject({ reason: 'kek_not_allowed' })
  })

  it.each([
    [0, 'malformed'],
    [1, 'wrap_corrupt'],
    [1_024, 'wrap_corrupt'],
    [1_025, 'malformed'],
  ])('with a wrapped DEK of %i bytes is %s', async (length, reason) => {
    const codec = await codecFor('kms1', { kms1: kms.key(ARN) })
    const parts = partsOf(await codec.wrap('value', CONTEXT))
    const wrap = Uint8Array.of(...parts.wrap.subarray(0, 42), ...counting(0, length))
    await expect(codec.unwrap(joinParts({ ...parts, wrap }), CONTEXT)).rejects.toMatchObject({ reason })
  })

  it('whose DEK the service did not wrap, or of a length that is no DEK’s, is wrap_corrupt', async () => {
    const codec = await codecFor('kms1', { kms1: kms.key(ARN) })
    const envelope = await codec.wrap('value', CONTEXT)
    const parts = partsOf(envelope)
    const wrap = parts.wrap.map((byte, at) => (at === 60 ? byte ^ 1 : byte))
    await expect(codec.unwrap(joinParts({ ...parts, wrap }), CONTEXT)).rejects.toMatchObject({
      reason: 'wrap_corrupt',
    })
    kms.disturb = () => 'wrong length'
    await expect(codec.unwrap(envelope, CONTEXT)).rejects.toMatchObject({ reason: 'wrap_corrupt' })
    kms.disturb = () => 'garbage'
    await expect(codec.unwrap(envelope, CONTEXT)).rejects.toMatchObject({ reason: 'commitment_mismatch' })
  })
})

describe('many envelopes', () => {
  it('are moved 16 at a time, mixed with local ones, each answered in its place', async () => {
    const providers = { kms1: kms.key(ARN) }
    const [local, remote] = [await codecFor('v1', providers), await codecFor('kms1', providers)]
    const items = await Promise.all(
      Array.from({ length: 60 }, async (_, index) => {
        const context = { name: `${index}` }
        const envelope = await (index % 2 === 0 ? local : remote).wrap(`${index}`, context)
        return index % 10 === 9 ? { envelope, context: { name: 'other' } } : { envelope, context }
      }),
    )
    kms.latencyMs = 5
    for (const [codec, kekId] of [
      [local, 'v1'],
      [remote, 'kms1'],
    ] as const) {
      const results = await codec.rewrapMany(items)
      const seen = results.map((result) =>
        'envelope' in result ? codec.peek(result.envelope).kekId : reasonOf(result),
      )
      expect(seen).toEqual(items.map((_, index) => (index % 10 === 9 ? 'commitment_mismatch' : kekId)))
    }
    expect(kms.mostAtOnce()).toBeGreaterThan(8)
    expect(kms.mostAtOnce()).toBeLessThanOrEqual(60)
  })

  it('are not asked for any more once the provider is down; what is local goes on', async () => {
    const providers = { kms1: kms.key(ARN) }
    const [local, remote] = [await codecFor('v1', providers), await codecFor('kms1', providers)]
    const items = await Promise.all(
      Array.from({ length: 200 }, async () => ({
        envelope: await remote.wrap('value', CONTEXT),
        context: CONTEXT,
      })),
    )
    items.push({ envelope: await local.wrap('value', CONTEXT), context: CONTEXT })
    const before = kms.requests()
    kms.disturb = () => 'outage'
    const results = await local.rewrapMany(items)
    expect(results.filter((result) => reasonOf(result) === 'ERR_KEY_PROVIDER_UNAVAILABLE')).toHaveLength(200)
    expect(results[200]).toEqual({ envelope: items[200]?.envelope })
    expect(kms.requests() - before).toBeLessThanOrEqual(32)
  })
})

function reasonOf(result: RewrapResult | undefined): string | null {
  if (result === undefined || 'envelope' in result) return null
  return result.error instanceof ProviderError ? result.error.code : result.error.reason
}

describe('a key provider that fails', () => {
  it.each([
    ['outage', 'ERR_KEY_PROVIDER_UNAVAILABLE', true],
    ['throttle', 'ERR_KEY_PROVIDER_UNAVAILABLE', true],
    ['cut', 'ERR_KEY_PROVIDER_UNAVAILABLE', true],
    ['denied', 'ERR_KEY_PROVIDER_REFUSED', false],
  ] as const)('by %s says so and judges no envelope', async (disturbance, code, retryable) => {
    const codec = await codecFor('kms1', { kms1: kms.key(ARN) })
    const envelope = await codec.wrap('value', CONTEXT)
    kms.disturb = () => disturbance
    for (const call of [() => codec.wrap('value', CONTEXT), () => codec.unwrap(envelope, CONTEXT)]) {
      const failure = await failureOf(call())
      expect(failure).toBeInstanceOf(ProviderError)
      expect(failure).toMatchObject({ code, retryable, kekId: 'kms1' })
    }
    kms.disturb = () => null
    expect(text(await codec.unwrap(envelope, CONTEXT))).toBe('value')
  })

  it('by silence is given up after timeoutMs and when the caller aborts', async () => {
    const codec = await codecFor('kms1', { kms1: kms.key(ARN) })
    const envelope = await codec.wrap('value', CONTEXT)
    kms.disturb = () => 'silence'
    const unavailable = { code: 'ERR_KEY_PROVIDER_UNAVAILABLE', retryable: true }
    await expect(codec.unwrap(envelope, CONTEXT, { timeoutMs: 40 })).rejects.toMatchObject(unavailable)
    const aborting = new AbortController()
    const waiting = codec.unwrap(envelope, CONTEXT, { signal: aborting.signal })
    aborting.abort()
    await expect(waiting).rejects.toMatchObject(unavailable)
    const { signal } = aborting
    await expect(codec.unwrap(envelope, CONTEXT, { signal })).rejects.toMatchObject(unavailable)
  })

  it('to heed its signal is given up all the same, and what comes too late is overwritten', async () => {
    const late = Promise.withResolvers<Uint8Array>()
    const kek = createRemoteKek('kms1', provider({ unwrapKey: () => late.promise }))
    await expect(unwrapKeyRemotely(kek, counting(0, 40), { timeoutMs: 20 })).rejects.toBeInstanceOf(
      ProviderError,
    )
    const dek = counting(1, 32)
    late.resolve(dek)
    await new Promise((resolve) => setImmediate(resolve))
    expect(dek).toEqual(new Uint8Array(32))
  })

  it.each<[string, Partial<KeyProvider>]>([
    ['wraps into nothing', { wrapKey: async () => new Uint8Array() }],
    ['wraps into 1,025 bytes', { wrapKey: async () => counting(0, MAX_REMOTE_WRAPPED_DEK_BYTES + 1) }],
    ['wraps into text', { wrapKey: async () => 'wrapped' as never }],
    ['hands back the DEK itself', { wrapKey: async (dek) => dek, unwrapKey: async (wrapped) => wrapped }],
    ['wraps the DEK in clear', { wrapKey: async (dek) => Uint8Array.of(1, 2, ...dek, 3) }],
    ['unwraps into text', { unwrapKey: async () => 'dek' as never }],
    ['unwraps into another key', { unwrapKey: async () => counting(0, 32) }],
    ['unwraps nothing that it wrapped', { unwrapKey: async () => null }],
    ['unwraps into 31 bytes', { unwrapKey: async () => counting(0, 31) }],
  ])('its contract because it %s is never written under', async (_, parts) => {
    const codec = await codecFor('kms1', { kms1: provider(parts) })
    await expect(codec.wrap('value', CONTEXT)).rejects.toMatchObject({
      code: 'ERR_KEY_PROVIDER_CONTRACT',
      retryable: false,
      kekId: 'kms1',
    })
  })

  it('shows and keeps nothing of an error it did not word, which counts as an outage', async () => {
    const leak = Object.assign(new TypeError(CANARY_SECRET), {
      config: { data: Buffer.from(CANARY_DEK).toString('base64') },
      cause: { dek: CANARY_DEK },
    })
    const throwing = [
      provider({ wrapKey: () => Promise.reject(leak) }),
      provider({
        wrapKey: () => {
          throw leak
        },
      }),
      provider({ wrapKey: () => Promise.reject(CANARY_SECRET) }),
      provider({ wrapKey: async () => CANARY_SECRET as never }),
      provider({ wrapKey: async () => Uint8Array.of(...CANARY_DEK, ...new Uint8Array(1_000)) }),
      provider({ unwrapKey: async () => CANARY_DEK.slice() }),
      provider({ unwrapKey: async () => CANARY_DEK.slice(0, 31) }),
    ]
    for (const each of throwing) {
      const failure = await failureOf((await codecFor('kms1', { kms1: each })).wrap(CANARY_SECRET, CONTEXT))
      expect(failure).toBeInstanceOf(ProviderError)
      const printed = inspect(failure, { showHidden: true, depth: 12 }) + JSON.stringify(failure)
      expect(findCanaries(printed)).toEqual([])
    }
  })
})

describe('the self-test of a remote KEK', () => {
  it('is made before the first wrap and not again', async () => {
    const key = kms.key(ARN)
    const codec = await codecFor('kms1', { kms1: key })
    await codec.wrap('value', CONTEXT)
    expect(key.calls).toEqual({ wrap: 2, unwrap: 1 })
    await codec.wrap('value', CONTEXT)
    expect(key.calls).toEqual({ wrap: 3, unwrap: 1 })
  })

  it('is made again after an outage, and not needed to read', async () => {
    const kek = createRemoteKek('kms1', kms.key(ARN))
    kms.disturb = () => 'outage'
    await expect(testRemoteKek(kek, {})).rejects.toHaveProperty('retryable', true)
    expect(isTested(kek)).toBe(false)
    kms.disturb = () => null
    const dek = counting(5, 32)
    const wrapped = await wrapKeyRemotely(kek, dek, {})
    expect(isTested(kek)).toBe(true)
    const reader = createRemoteKek('kms1', kms.key(ARN))
    expect(await unwrapKeyRemotely(reader, wrapped, {})).toEqual(dek)
    expect(isTested(reader)).toBe(false)
  })

  it('clears every DEK that it gave and got', async () => {
    const seen: Uint8Array[] = []
    const base = provider({})
    const noting = provider({
      wrapKey: async (dek, options) => {
        seen.push(dek)
        return await base.wrapKey(dek, options)
      },
      unwrapKey: async (wrapped, options) => {
        const dek = await base.unwrapKey(wrapped, options)
        if (dek !== null) seen.push(dek)
        return dek
      },
    })
    const codec = await codecFor('kms1', { kms1: noting })
    await codec.unwrap(await codec.wrap('value', CONTEXT), CONTEXT)
    expect(seen).toHaveLength(4)
    for (const dek of seen) expect(dek).toEqual(new Uint8Array(32))
  })
})

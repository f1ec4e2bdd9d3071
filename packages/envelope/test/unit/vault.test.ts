import { inspect } from 'node:util'
import { isEnvelopeError, MemoryStore, openVault, type SecretVault } from '@talos/envelope'
import { interceptStore } from '@talos/envelope/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { CANARY_KEK, CANARY_SECRET, findCanaries } from '../../../../test/canaries.ts'
import {
  BOTH_WISH_V1,
  BOTH_WISH_V2,
  keys,
  ONLY_V1,
  ONLY_V2,
  outcomeUnknown,
  seededRandom,
  testDomain,
  unavailable,
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

describe('put and get', () => {
  test('a value comes back as it was put, as text and as bytes, with its version and KEK', async () => {
    const vault = kept(await testDomain().open(ONLY_V1))
    expect(await vault.put('openai/prod', 'sk-live')).toEqual({ outcome: 'created', version: 1 })
    expect(await vault.put('openai/prod', Uint8Array.of(0xff, 0, 1))).toEqual({
      outcome: 'replaced',
      version: 2,
    })
    const secret = await vault.get('openai/prod')
    expect(secret?.bytes()).toEqual(Uint8Array.of(0xff, 0, 1))
    expect(() => secret?.text()).toThrow(expect.objectContaining({ code: 'ERR_VALUE_NOT_TEXT' }))
    expect([secret?.version, secret?.kekId]).toEqual([2, 'v1'])
    expect(await vault.put('empty', '')).toEqual({ outcome: 'created', version: 1 })
    expect((await vault.get('empty'))?.text()).toBe('')
    expect(await vault.get('never')).toBeNull()
  })

  test('text keeps a byte order mark and needs no normalisation', async () => {
    const vault = kept(await testDomain().open(ONLY_V1))
    await vault.put('bom', '\uFEFFé')
    await vault.put('nfd', 'e\u0301')
    expect((await vault.get('bom'))?.text()).toBe('\uFEFFé')
    expect((await vault.get('nfd'))?.text()).toBe('e\u0301')
  })

  test('getMany answers in the order asked with null for none, in one store call', async () => {
    const domain = testDomain()
    const methods: string[] = []
    const store = interceptStore(domain.store, (call) => {
      methods.push(call.method)
      return call.proceed()
    })
    const vault = kept(await domain.open(ONLY_V1, { store }))
    await vault.put('a', '1')
    await vault.put('c', '3')
    methods.length = 0
    const secrets = await vault.getMany(['c', 'b', 'a'])
    expect(secrets.map((secret) => secret?.text() ?? null)).toEqual(['3', null, '1'])
    expect(methods).toEqual(['read'])
  })

  test('the caller context is part of the read: other pairs, fewer or more never open', async () => {
    const vault = kept(await testDomain().open(ONLY_V1))
    await vault.put('a', 'x', { context: { tenant: 'acme' } })
    expect((await vault.get('a', { context: { tenant: 'acme' } }))?.text()).toBe('x')
    for (const context of [{}, { tenant: 'other' }, { tenant: 'acme', more: '' }]) {
      await expect(vault.get('a', { context })).rejects.toMatchObject({
        code: 'ERR_DECRYPT_FAILED',
        reason: 'commitment_mismatch',
        message: 'The envelope could not be opened.',
      })
    }
  })

  test('a secret is never replaced under other pairs, which would shut its readers out', async () => {
    const vault = kept(await testDomain().open(ONLY_V1))
    await vault.put('a', 'x', { context: { tenant: 'acme', z: '' } })
    for (const context of [
      {},
      { tenant: 'acme' },
      { tenant: 'other', z: '' },
      { tenant: 'acme', z: '', more: '' },
    ]) {
      await expect(vault.put('a', 'y', { context })).rejects.toMatchObject({ code: 'ERR_CONTEXT_CHANGED' })
    }
    expect((await vault.get('a', { context: { z: '', tenant: 'acme' } }))?.text()).toBe('x')
    expect(await vault.put('a', 'y', { context: { z: '', tenant: 'acme' } })).toMatchObject({
      outcome: 'replaced',
    })
    await vault.delete('a')
    expect(await vault.put('a', 'z')).toMatchObject({ outcome: 'created' })
  })

  test('a record moved to another name, or into another namespace, never opens', async () => {
    const domain = testDomain()
    const vault = kept(await domain.open(ONLY_V1))
    await vault.put('a', 'x')
    const [record] = await domain.store.read(['a'])
    const keyring = await domain.store.readDocument('keyring')
    if (!record || !keyring) throw new Error('nothing was stored')
    await domain.store.write(keyring.revision, [{ kind: 'create', secret: { ...record, name: 'b' } }])
    await expect(vault.get('b')).rejects.toMatchObject({ reason: 'commitment_mismatch' })
    const namespace = 'staging'
    await expect(openVault({ store: domain.store, keys: ONLY_V1, namespace })).rejects.toMatchObject({
      code: 'ERR_NAMESPACE_MISMATCH',
    })
  })

  test('expectedVersion decides: a lost race is an answer with the version that is there', async () => {
    const vault = kept(await testDomain().open(ONLY_V1))
    expect(await vault.put('a', '1', { expectedVersion: 1 })).toEqual({ outcome: 'conflict', version: null })
    expect(await vault.put('a', '1', { expectedVersion: null })).toEqual({ outcome: 'created', version: 1 })
    expect(await vault.put('a', '2', { expectedVersion: null })).toEqual({ outcome: 'conflict', version: 1 })
    expect(await vault.put('a', '2', { expectedVersion: 1 })).toEqual({ outcome: 'replaced', version: 2 })
    expect(await vault.put('a', '3', { expectedVersion: 1 })).toEqual({ outcome: 'conflict', version: 2 })
    expect(await vault.delete('a', { expectedVersion: 1 })).toEqual({ outcome: 'conflict', version: 2 })
    expect((await vault.get('a'))?.text()).toBe('2')
    expect(await vault.delete('a', { expectedVersion: 2 })).toEqual({ outcome: 'deleted' })
    expect(await vault.delete('a')).toEqual({ outcome: 'missing' })
  })

  test('W1: of many concurrent puts with one expected version exactly one wins, and its value is read', async () => {
    const domain = testDomain()
    const disorder = { random: seededRandom(7) }
    const store = new MemoryStore({ disorder, monotonicMs: domain.clock.runtime.monotonicMs })
    const vaults = await Promise.all([0, 1, 2, 3].map(() => domain.open(ONLY_V1, { store })))
    vaults.forEach(kept)
    await vaults[0]?.put('a', 'start')
    for (let version = 1; version <= 25; version += 1) {
      const puts = vaults.map((vault, index) =>
        vault.put('a', `${version}/${index}`, { expectedVersion: version }),
      )
      const results = await Promise.all(puts)
      const winners = results.flatMap(({ outcome }, index) => (outcome === 'replaced' ? [index] : []))
      expect(winners).toHaveLength(1)
      expect((await vaults[0]?.get('a'))?.text()).toBe(`${version}/${winners[0]}`)
    }
  })

  test('unconditional concurrent puts all take effect, one after the other', async () => {
    const domain = testDomain()
    const vaults = await Promise.all([0, 1, 2].map(() => domain.open(ONLY_V1)))
    vaults.forEach(kept)
    const results = await Promise.all(
      Array.from({ length: 30 }, (_, index) => vaults[index % 3]?.put('a', `${index}`)),
    )
    const versions = results.flatMap((result) =>
      result && result.outcome !== 'conflict' ? [result.version] : [],
    )
    expect(versions.sort((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, index) => index + 1))
  })

  test('opening takes at most 2 store reads, put and get at most 2 store calls when nothing races', async () => {
    const domain = testDomain()
    const methods: string[] = []
    const store = interceptStore(domain.store, (call) => {
      methods.push(call.method)
      return call.proceed()
    })
    const reads = (): number => methods.filter((method) => !method.startsWith('write')).length
    await (await domain.open(ONLY_V1)).close()
    const vault = kept(await domain.open(ONLY_V1, { store }))
    expect(reads()).toBeLessThanOrEqual(2)
    await domain.clock.settle()
    await vault.put('first', 'x')
    for (const call of [() => vault.put('a', '1'), () => vault.put('a', '2'), () => vault.get('a')]) {
      methods.length = 0
      await call()
      expect(methods.length).toBeLessThanOrEqual(2)
    }
  })
})

describe('a write that is fenced', () => {
  test('is wrapped under the new current KEK and repeated; the caller sees a slower call', async () => {
    const domain = testDomain()
    const slow = kept(await domain.open(BOTH_WISH_V2))
    expect((await slow.status()).currentKekId).toBe('v2')
    await slow.put('a', 'x')
    // Somebody else changes the document: same KEKs, next revision.
    const document = await domain.store.readDocument('keyring')
    if (document === null) throw new Error('no keyring document')
    const raised = JSON.stringify({ ...JSON.parse(document.value), epoch: 9 })
    expect(await domain.store.writeDocument('keyring', document.revision, raised)).toBe(document.revision + 1)
    expect(await slow.put('a', 'y')).toEqual({ outcome: 'replaced', version: 2 })
    expect((await slow.status()).epoch).toBe(9)
  })

  test('W5: a writer that was promoted away in the middle of its put never leaves a record under the old KEK', async () => {
    const domain = testDomain()
    let promote: (() => Promise<unknown>) | null = null
    const store = interceptStore(domain.store, async (call) => {
      if (call.method === 'write' && promote !== null) {
        const run = promote
        promote = null
        await run()
      }
      return await call.proceed()
    })
    const writer = kept(await domain.open(BOTH_WISH_V1, { store }))
    promote = async () => kept(await domain.open(BOTH_WISH_V2, { process: 'new/2' }))
    expect(await writer.put('a', 'x')).toEqual({ outcome: 'created', version: 1 })
    expect(await wrapOf(domain.store, 'a')).toMatch(/^talos:v2:v2:/)
  })
})

describe('a store that fails', () => {
  test('an answer cut after the write is repeated and told as done, once', async () => {
    const domain = testDomain()
    let cut = 0
    const store = interceptStore(domain.store, async (call) => {
      const answer = await call.proceed()
      if (call.method === 'write' && cut++ === 0) throw outcomeUnknown()
      return answer
    })
    const vault = kept(await domain.open(ONLY_V1, { store }))
    expect(await vault.put('a', 'x')).toEqual({ outcome: 'created', version: 1 })
    expect((await vault.get('a'))?.version).toBe(1)
    cut = 0
    expect(await vault.delete('a')).toEqual({ outcome: 'deleted' })
  })

  test('W1: a write of unknown outcome never undoes a later write of somebody else', async () => {
    const domain = testDomain()
    const other = kept(await domain.open(ONLY_V1))
    let cut = false
    const store = interceptStore(domain.store, async (call) => {
      const answer = await call.proceed()
      if (call.method !== 'write' || cut) return answer
      cut = true
      await other.put('a', 'later')
      throw outcomeUnknown()
    })
    const vault = kept(await domain.open(ONLY_V1, { store }))
    await expect(vault.put('a', 'earlier')).rejects.toMatchObject({
      code: 'ERR_STORE_OUTCOME_UNKNOWN',
      retryable: true,
    })
    expect((await other.get('a'))?.text()).toBe('later')
  })

  test('a store that is down is a retryable error, never a wrong answer', async () => {
    const domain = testDomain()
    let down = false
    const store = interceptStore(domain.store, async (call) => {
      if (down) throw unavailable()
      return await call.proceed()
    })
    const vault = kept(await domain.open(ONLY_V1, { store }))
    await vault.put('a', 'x')
    down = true
    for (const call of [
      () => vault.get('a'),
      () => vault.put('a', 'y'),
      () => vault.delete('a'),
      () => vault.status(),
      () => vault.listPage(),
      () => vault.rotate(),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE', retryable: true })
    }
    await expect(domain.open(ONLY_V1, { store })).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' })
    down = false
    expect((await vault.get('a'))?.text()).toBe('x')
  })

  test('an aborted or timed-out call says so and may be repeated', async () => {
    const vault = kept(await testDomain().open(ONLY_V1))
    await expect(vault.put('a', 'x', { signal: AbortSignal.abort() })).rejects.toMatchObject({
      retryable: true,
    })
    await expect(vault.get('a', { timeoutMs: 0 })).rejects.toBeInstanceOf(TypeError)
    await expect(vault.get('a', { timeoutMs: Number.NaN })).rejects.toBeInstanceOf(TypeError)
    expect(await vault.get('a')).toBeNull()
  })
})

describe('bad input', () => {
  const names = [
    '',
    'x'.repeat(513),
    'é'.repeat(257),
    'a\0b',
    '\uD800',
    7 as unknown as string,
    null as unknown as string,
  ]
  test.each(names.map((name, index) => [index, name] as const))(
    'name %i is a TypeError and nothing is stored',
    async (_, name) => {
      const domain = testDomain()
      const vault = kept(await domain.open(ONLY_V1))
      await expect(vault.put(name, 'x')).rejects.toBeInstanceOf(TypeError)
      await expect(vault.get(name)).rejects.toBeInstanceOf(TypeError)
      await expect(vault.delete(name)).rejects.toBeInstanceOf(TypeError)
      expect((await domain.store.census()).size).toBe(0)
    },
  )

  test('names of 1 and of 512 bytes are taken as they are', async () => {
    const vault = kept(await testDomain().open(ONLY_V1))
    for (const name of [
      'a',
      'x'.repeat(512),
      'é'.repeat(256),
      '__proto__',
      'constructor',
      '%_{}\'"\u0001\n',
    ]) {
      await vault.put(name, name)
      expect((await vault.get(name))?.text()).toBe(name)
    }
  })

  test('a value over the limit is refused before anything is written', async () => {
    const domain = testDomain()
    const vault = kept(await domain.open(ONLY_V1))
    await vault.put('fits', 'x'.repeat(65_536))
    for (const value of ['x'.repeat(65_537), 'é'.repeat(32_769), new Uint8Array(65_537)]) {
      await expect(vault.put('a', value)).rejects.toMatchObject({ code: 'ERR_VALUE_TOO_LARGE' })
    }
    for (const value of ['\uD800', 7, null, undefined, [1]]) {
      await expect(vault.put('a', value as string)).rejects.toBeInstanceOf(TypeError)
    }
    expect(await vault.get('a')).toBeNull()
  })

  test('a caller context that names namespace or name, is too large or has too many pairs is a TypeError', async () => {
    const vault = kept(await testDomain().open(ONLY_V1))
    const many = Object.fromEntries(Array.from({ length: 15 }, (_, index) => [`k${index}`, '']))
    for (const context of [
      { namespace: 'x' },
      { name: 'x' },
      { '': 'x' },
      { k: 'x'.repeat(4_097) },
      { k: '\uD800' },
      { k: 7 as unknown as string },
      many,
    ]) {
      await expect(vault.put('a', 'x', { context })).rejects.toBeInstanceOf(TypeError)
      await expect(vault.get('a', { context })).rejects.toBeInstanceOf(TypeError)
    }
  })

  test('a context that does not fit the record as JSON is refused before anything is written', async () => {
    const vault = kept(await testDomain().open(ONLY_V1))
    const context = { k: '\u0001'.repeat(4_000) }
    await expect(vault.put('a', 'x', { context })).rejects.toMatchObject({ code: 'ERR_CONTEXT_TOO_LARGE' })
    expect(await vault.get('a')).toBeNull()
  })

  test('a context with the keys of object prototypes is kept apart from them', async () => {
    const vault = kept(await testDomain().open(ONLY_V1))
    const context = JSON.parse('{"__proto__":"x","constructor":"y"}') as Record<string, string>
    await vault.put('a', 'v', { context })
    expect((await vault.get('a', { context }))?.text()).toBe('v')
    await expect(vault.get('a', { context: { constructor: 'y' } })).rejects.toMatchObject({
      reason: 'commitment_mismatch',
    })
  })

  test('options and versions of the wrong form are TypeErrors', async () => {
    const { store } = testDomain()
    const vault = kept(await testDomain().open(ONLY_V1))
    for (const expectedVersion of [0, -1, 1.5, '1' as unknown as number]) {
      await expect(vault.put('a', 'x', { expectedVersion })).rejects.toBeInstanceOf(TypeError)
    }
    await expect(vault.rotate({ ratePerSecond: 0 })).rejects.toBeInstanceOf(TypeError)
    await expect(vault.listPage({ limit: 0 })).rejects.toBeInstanceOf(TypeError)
    await expect(vault.getMany(Array.from({ length: 101 }, () => 'a'))).rejects.toBeInstanceOf(TypeError)
    for (const wrong of [
      { namespace: '' },
      { namespace: 'x'.repeat(129) },
      { maxValueBytes: 0 },
      { maxValueBytes: 1_048_577 },
      { leaseMs: 99 },
    ]) {
      await expect(openVault({ store, keys: ONLY_V1, namespace: 'n', ...wrong })).rejects.toBeInstanceOf(
        TypeError,
      )
    }
  })
})

describe('listing', () => {
  test('shows metadata of all secrets, filtered by prefix, never a value', async () => {
    const vault = kept(await testDomain().open(ONLY_V1))
    for (let index = 0; index < 250; index += 1)
      await vault.put(`${index % 2 === 0 ? 'a' : 'b'}/${index}`, CANARY_SECRET)
    const names: string[] = []
    for await (const entry of vault.list({ prefix: 'a/' })) {
      expect(entry).toMatchObject({
        version: 1,
        kekId: 'v1',
        rewrappedAt: null,
        createdAt: '2030-01-01T00:00:00.000Z',
      })
      expect(findCanaries(JSON.stringify(entry))).toEqual([])
      names.push(entry.name)
    }
    expect(names).toHaveLength(125)
  })

  test('one damaged record neither hides nor stops the others', async () => {
    const domain = testDomain()
    const vault = kept(await domain.open(ONLY_V1))
    await vault.put('a', 'x')
    const [record] = await domain.store.read(['a'])
    const keyring = await domain.store.readDocument('keyring')
    if (!record || !keyring) throw new Error('nothing was stored')
    await domain.store.write(keyring.revision, [
      { kind: 'create', secret: { ...record, name: 'bad', meta: '{"version":"1"}' } },
    ])
    const { items } = await vault.listPage()
    expect(items.map(({ name, version }) => [name, version])).toEqual(
      expect.arrayContaining([
        ['a', 1],
        ['bad', null],
      ]),
    )
    await expect(vault.put('bad', 'x')).rejects.toMatchObject({ code: 'ERR_RECORD_DAMAGED' })
    expect(await vault.delete('bad')).toEqual({ outcome: 'deleted' })
  })
})

describe('what is printed', () => {
  test('a secret prints its name and version only, and nothing after it was disposed of', async () => {
    const vault = kept(await testDomain().open(ONLY_V1))
    await vault.put('openai/prod', CANARY_SECRET)
    const secret = await vault.get('openai/prod')
    if (secret === null) throw new Error('no secret')
    for (const shown of [
      inspect(secret, { depth: 9, showHidden: true }),
      String(secret),
      JSON.stringify({ secret }),
      `${secret}`,
    ]) {
      expect(shown).toContain('[secret openai/prod v1]')
      expect(findCanaries(shown)).toEqual([])
    }
    expect(inspect({ ...secret })).not.toContain(CANARY_SECRET)
    secret.dispose()
    expect(() => secret.text()).toThrow(TypeError)
    expect(() => secret.bytes()).toThrow(TypeError)
  })

  test('no KEK and no value shows in a vault, its status, its events or its errors', async () => {
    const domain = testDomain()
    const vault = kept(await domain.open(keys('v1', { v1: CANARY_KEK })))
    await vault.put('a', CANARY_SECRET)
    const errors = await Promise.all(
      [
        vault.get('a', { context: { x: 'y' } }),
        vault.put('a', `${CANARY_SECRET}${'x'.repeat(70_000)}`),
        vault.put('', CANARY_SECRET),
        vault.put('a', CANARY_SECRET, { context: { name: CANARY_SECRET } }),
      ].map((call) => call.catch((error: unknown) => error)),
    )
    expect(errors.every((error) => error instanceof Error)).toBe(true)
    const shown = [
      inspect(vault, { depth: 12, showHidden: true }),
      JSON.stringify(await vault.status()),
      JSON.stringify(domain.events),
      ...errors.map((error) => inspect(error, { depth: 9, showHidden: true })),
    ]
    for (const text of shown) expect(findCanaries(text)).toEqual([])
  })
})

describe('closing', () => {
  test('waits for calls in flight, refuses later ones, may be repeated and leaves the store open', async () => {
    const domain = testDomain()
    const vault = await domain.open(ONLY_V1)
    const writing = vault.put('a', 'x')
    await Promise.all([vault.close(), vault.close()])
    expect(await writing).toMatchObject({ outcome: 'created' })
    expect(vault.ready).toBe(false)
    await expect(vault.get('a')).rejects.toMatchObject({ code: 'ERR_VAULT_CLOSED' })
    expect((await domain.store.listDocuments({ prefix: 'instance/', cursor: null, limit: 9 })).items).toEqual(
      [],
    )
    await using next = await domain.open(ONLY_V1)
    expect((await next.get('a'))?.text()).toBe('x')
  })

  test('a misconfigured key source or a wrong namespace leaves no trace in the fleet', async () => {
    const domain = testDomain()
    await (await domain.open(ONLY_V1)).close()
    const wrong = openVault({
      store: domain.store,
      keys: ONLY_V2,
      namespace: 'other',
      runtime: domain.clock.runtime,
    })
    const error: unknown = await wrong.catch((reason: unknown) => reason)
    expect(isEnvelopeError(error) && error.code).toBe('ERR_NAMESPACE_MISMATCH')
    expect((await domain.store.listDocuments({ prefix: 'instance/', cursor: null, limit: 9 })).items).toEqual(
      [],
    )
  })
})

import { isEnvelopeError, type KeySource, type SecretVault } from '@talos/envelope'
import { interceptStore } from '@talos/envelope/testing'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { madeCurrent } from '../../src/lifecycle/keyring-changes.ts'
import { parseKeyringDocument, serialiseKeyringDocument } from '../../src/lifecycle/keyring-document.ts'
import { type ChangingSource, changing } from '../support/changing-source.ts'
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
} from '../support/vaults.ts'

/** Breaks this machine's AES-KW, as faulty hardware would. */
const machine = vi.hoisted(() => ({ isBroken: false }))
vi.mock(import('../../src/crypto/key-wrap.ts'), async (original) => {
  const real = await original()
  return {
    ...real,
    unwrapKeyBytes: (...given) => (machine.isBroken ? null : real.unwrapKeyBytes(...given)),
  }
})

let domain: TestDomain
const open: SecretVault[] = []
beforeEach(() => {
  domain = testDomain()
})
afterEach(async () => {
  machine.isBroken = false
  for (const vault of open.splice(0)) await vault.close()
})

type Opening = Parameters<TestDomain['open']>[1]

async function vaultOf(source: KeySource, options: Opening = {}): Promise<SecretVault> {
  const vault = await domain.open(source, options)
  open.push(vault)
  return vault
}

const faults = (): string[] =>
  domain.events.flatMap((event) => (event.type === 'fault' && event.during === 'reload' ? [event.code] : []))
const promotions = (): string[] =>
  domain.events.flatMap((event) => (event.type === 'promoted' ? [event.kekId] : []))

/** Lets a promise that waits for the held clock come to its end. */
async function within<T>(promise: Promise<T>): Promise<T> {
  let isOver = false
  const over = promise.then(
    () => (isOver = true),
    () => (isOver = true),
  )
  for (let step = 0; step < 100 && !isOver; step += 1) await domain.clock.advance(250)
  await over
  return await promise
}

describe('a reload', () => {
  test('brings KEKs that were added, and says which', async () => {
    const source = changing(ONLY_V1)
    const vault = await vaultOf(source)
    source.now = BOTH_WISH_V1
    expect(await vault.reload()).toEqual({ added: ['v2'], removed: [], wishedKekId: 'v1' })
    expect(await vault.status()).toMatchObject({
      loadedKekIds: ['v1', 'v2'],
      currentKekId: 'v1',
      notices: [],
    })
    const told = domain.events.filter(({ type }) => type === 'reloaded')
    expect(told).toEqual([{ type: 'reloaded', added: ['v2'], removed: [], wishedKekId: 'v1' }])
  })

  test('that finds nothing new changes nothing', async () => {
    const vault = await vaultOf(BOTH_WISH_V1)
    expect(await vault.reload()).toEqual({ added: [], removed: [], wishedKekId: 'v1' })
    expect(await vault.status()).toMatchObject({ epoch: 1, loadedKekIds: ['v1', 'v2'], ready: true })
  })

  test('promotes a KEK that the source now names as current, at once where nobody has to be waited for', async () => {
    const source = changing(BOTH_WISH_V1)
    const vault = await vaultOf(source)
    await vault.put('a', 'old')
    source.now = BOTH_WISH_V2
    await vault.reload()
    expect(promotions()).toEqual(['v2'])
    await vault.put('b', 'new')
    expect([(await vault.get('a'))?.kekId, (await vault.get('b'))?.kekId]).toEqual(['v1', 'v2'])
  })

  test('promotes one wish after the other, and takes none back', async () => {
    const source = changing(ONLY_V1)
    const vault = await vaultOf(source)
    for (const wish of ['v2', 'v3']) {
      source.now = keys(wish, { v1: V1, v2: V2, v3: V3 })
      await vault.reload()
      expect((await vault.status()).currentKekId).toBe(wish)
    }
    source.now = keys('v2', { v1: V1, v2: V2, v3: V3 })
    await vault.reload()
    const { currentKekId, notices, ready } = await vault.status()
    expect([currentKekId, ready]).toEqual(['v3', true])
    expect(notices).toEqual([expect.stringMatching(/^KEK "v2" was current before "v3"/)])
    expect(promotions()).toEqual(['v2', 'v3'])
  })

  test('P: in a fleet of two the promotion follows the last reload, without a restart', async () => {
    const [first, second] = [changing(ONLY_V1), changing(ONLY_V1)]
    const a = await vaultOf(first, { process: 'a' })
    const b = await vaultOf(second, { process: 'b' })
    first.now = BOTH_WISH_V2
    await a.reload()
    const { pending, currentKekId } = await a.status()
    expect([currentKekId, pending?.kekId]).toEqual(['v1', 'v2'])
    expect(pending?.waitingFor.map(({ process, reason }) => `${process} ${reason}`)).toEqual([
      'b kek_missing',
    ])
    second.now = BOTH_WISH_V1
    await b.reload()
    await domain.clock.advance(5_000)
    expect(promotions()).toEqual(['v2'])
    for (const [index, vault] of [a, b].entries()) {
      await vault.put(`n${index}`, 'value')
      expect((await vault.get(`n${index}`))?.kekId).toBe('v2')
    }
    second.now = BOTH_WISH_V2
    await b.reload()
    expect(await b.status()).toMatchObject({ currentKekId: 'v2', epoch: 2, notices: [], ready: true })
  })

  test('of the wish alone is told again to who waits, with the other KEK', async () => {
    const source = changing(BOTH_WISH_V1)
    const a = await vaultOf(source, { process: 'a' })
    await vaultOf(ONLY_V1, { process: 'b' })
    const three = { v1: V1, v2: V2, v3: V3 }
    for (const wish of ['v2', 'v3', 'v1']) {
      source.now = keys(wish, three)
      await a.reload()
    }
    const waits = domain.events.flatMap((event) => (event.type === 'promotion_waiting' ? [event.kekId] : []))
    expect(waits).toEqual(['v2', 'v3'])
    expect((await a.status()).pending).toBeNull()
  })

  test('drops a KEK that no record needs: it opens nothing any more', async () => {
    const source = changing(ONLY_V1)
    const vault = await vaultOf(source)
    await vault.put('a', 'value')
    const [old] = await domain.store.read(['a'])
    if (old === null || old === undefined) throw new Error('no record')
    source.now = BOTH_WISH_V2
    await vault.reload()
    await finished(domain, vault, (await vault.rotate()).id)
    source.now = ONLY_V2
    expect(await vault.reload()).toEqual({ added: [], removed: ['v1'], wishedKekId: 'v2' })
    expect(await vault.status()).toMatchObject({ ready: true, loadedKekIds: ['v2'] })
    expect((await vault.get('a'))?.text()).toBe('value')

    // As out of a backup.
    const [now] = await domain.store.read(['a'])
    const { revision = 0 } = (await domain.store.readDocument('keyring')) ?? {}
    await domain.store.write(revision, [{ kind: 'replace', expectedWrap: now?.wrap ?? '', secret: old }])
    await expect(vault.get('a')).rejects.toMatchObject({ code: 'ERR_KEK_NOT_LOADED', kekId: 'v1' })
  })

  test('gives an id that was never current the bytes it should have had', async () => {
    const source = changing(keys('v1', { v1: V1, v2: V3 }))
    const vault = await vaultOf(source)
    source.now = BOTH_WISH_V2
    expect(await vault.reload()).toEqual({ added: ['v2'], removed: ['v2'], wishedKekId: 'v2' })
    expect((await vault.status()).currentKekId).toBe('v2')
  })

  test('makes an instance ready that lacked a KEK', async () => {
    const seed = await domain.open(ONLY_V1)
    await seed.put('a', 'value')
    await seed.close()
    const source = changing(ONLY_V2)
    const vault = await vaultOf(source)
    expect(vault.ready).toBe(false)
    source.now = BOTH_WISH_V1
    await vault.reload()
    expect([vault.ready, (await vault.get('a'))?.text()]).toEqual([true, 'value'])
  })

  test('takes away a KEK that is held with other bytes than the bound ones, though secrets are under its id', async () => {
    for (const seed of [ONLY_V1, BOTH_WISH_V2]) {
      const vault = await domain.open(seed)
      if (seed === ONLY_V1) await vault.put('a', 'value')
      await vault.close()
    }
    const source = changing(keys('v2', { v1: V3, v2: V2 }))
    const vault = await vaultOf(source)
    expect((await vault.status()).reasons.map(({ code }) => code)).toEqual(['ERR_KEK_MISMATCH'])
    source.now = ONLY_V2
    expect((await vault.reload()).removed).toEqual(['v1'])
    expect((await vault.status()).reasons.map(({ code }) => code)).toEqual(['ERR_KEK_NOT_LOADED'])
    source.now = BOTH_WISH_V2
    await vault.reload()
    expect([vault.ready, (await vault.get('a'))?.text()]).toEqual([true, 'value'])
  })

  test('marks a KEK decrypt-only that is current, for the key source has the last word', async () => {
    const source = changing(BOTH_WISH_V1)
    const vault = await vaultOf(source)
    source.now = keys('v2', { v1: V1, v2: V2 }, ['v1'])
    await vaultOf(ONLY_V1, { process: 'b' })
    await vault.reload()
    expect((await vault.status()).reasons.map(({ code }) => code)).toEqual(['ERR_KEK_NOT_ALLOWED'])
    source.now = BOTH_WISH_V1
    await vault.reload()
    expect(vault.ready).toBe(true)
  })

  test('waits for the one before it, and the last one counts', async () => {
    const source = changing(ONLY_V1)
    const vault = await vaultOf(source)
    const running: string[] = []
    const slow = (name: string, keyring: KeySource): KeySource => ({
      async load(options) {
        running.push(`${name} begins`)
        await domain.clock.settle()
        running.push(`${name} ends`)
        return await keyring.load(options)
      },
    })
    const order = [
      slow('1', BOTH_WISH_V1),
      slow('2', keys('v1', { v1: V1, v3: V3 })),
      slow('3', BOTH_WISH_V1),
    ]
    const given = [...order]
    source.load = async (options) => {
      const next = given.shift()
      if (next === undefined) throw new Error('one load too many')
      return await next.load(options)
    }
    const results = await Promise.all(order.map(() => vault.reload()))
    expect(running).toEqual(['1 begins', '1 ends', '2 begins', '2 ends', '3 begins', '3 ends'])
    expect(results.map(({ added, removed }) => [...added, '-', ...removed].join(' '))).toEqual([
      'v2 -',
      'v3 - v2',
      'v2 - v3',
    ])
    expect((await vault.status()).loadedKekIds).toEqual(['v1', 'v2'])
  })
})

describe('a reload is refused, changes nothing and is told until one succeeds', () => {
  /** Reloads a source that must be refused, then the one from before. */
  async function refusal(vault: SecretVault, source: ChangingSource, bad: KeySource): Promise<Error> {
    const good = source.now
    const { loadedKekIds, wishedKekId, epoch, ready } = await vault.status()
    const told = faults().length
    source.now = bad
    const error: unknown = await vault.reload().catch((thrown: unknown) => thrown)
    if (!(error instanceof Error)) throw new Error('The reload was not refused.')
    const after = await vault.status()
    expect(after).toMatchObject({ loadedKekIds, wishedKekId, epoch, ready })
    expect(after.notices.at(-1)).toMatch(/^The key source could not be loaded again\. /)
    expect(faults()).toHaveLength(told + 1)
    if (isEnvelopeError(error)) {
      expect(after.notices.at(-1)).toContain(error.message)
      expect(faults().at(-1)).toBe(error.code)
    }
    source.now = good
    await vault.reload()
    expect((await vault.status()).notices).toEqual([])
    return error
  }

  test('when the source is misconfigured, with all faults', async () => {
    const source = changing(ONLY_V1)
    const vault = await vaultOf(source)
    await vault.put('a', 'value')
    const bad = keys('v3', { v1: V1, V2: V2, v4: V1 })
    const error = await refusal(vault, source, bad)
    expect(error).toMatchObject({ code: 'ERR_KEY_CONFIGURATION', faults: { length: 3 } })
    expect((await vault.get('a'))?.text()).toBe('value')
  })

  test('when the source fails with an error of its own, whose text is passed on to nobody else', async () => {
    const source = changing(ONLY_V1)
    const vault = await vaultOf(source)
    const bad = { load: () => Promise.reject(new Error('token abc was refused')) }
    expect((await refusal(vault, source, bad)).message).toBe('token abc was refused')
    expect(faults()).toEqual(['unexpected'])
    expect(JSON.stringify(domain.events)).not.toContain('abc')
  })

  test('when a local KEK does not pass its self-test', async () => {
    const source = changing(ONLY_V1)
    const vault = await vaultOf(source)
    const bad: KeySource = {
      async load() {
        const keyring = await BOTH_WISH_V2.load()
        machine.isBroken = true
        return keyring
      },
    }
    const good = source.now
    source.now = bad
    await expect(vault.reload()).rejects.toMatchObject({ code: 'ERR_KEK_MISMATCH', kekId: 'v1' })
    machine.isBroken = false
    source.now = good
    expect(await vault.status()).toMatchObject({ loadedKekIds: ['v1'], currentKekId: 'v1' })
  })

  test('W6: when other bytes appear under an id that is bound', async () => {
    const source = changing(BOTH_WISH_V2)
    const vault = await vaultOf(source)
    const error = await refusal(vault, source, keys('v2', { v1: V1, v2: V3 }))
    expect(error).toMatchObject({ code: 'ERR_KEK_MISMATCH', kekId: 'v2' })
    expect(error.message).toMatch(
      /KEK "v2" has other bytes than those bound to its id \(fingerprint [0-9a-f]{16}\)/,
    )
  })

  test('W6: when they appear under an id that is bound and was not loaded here', async () => {
    const seed = await domain.open(ONLY_V1)
    await seed.close()
    const source = changing(BOTH_WISH_V2)
    const vault = await vaultOf(source)
    await finished(domain, vault, (await vault.rotate()).id)
    source.now = ONLY_V2
    await vault.reload()
    source.now = keys('v2', { v1: V3, v2: V2 })
    await expect(vault.reload()).rejects.toMatchObject({ code: 'ERR_KEK_MISMATCH', kekId: 'v1' })
  })

  test('W6: when they appear under an id that was bound here, and the keyring document has gone back in time', async () => {
    const source = changing(BOTH_WISH_V1)
    const vault = await vaultOf(source)
    const before = await domain.store.readDocument('keyring')
    source.now = BOTH_WISH_V2
    await vault.reload()
    const { revision = 0 } = (await domain.store.readDocument('keyring')) ?? {}
    await domain.store.writeDocument('keyring', revision, before?.value ?? '')
    source.now = keys('v1', { v1: V1, v2: V3 })
    await expect(vault.reload()).rejects.toMatchObject({ code: 'ERR_KEK_MISMATCH', kekId: 'v2' })
  })

  test('when the current KEK would go missing', async () => {
    const source = changing(BOTH_WISH_V1)
    const vault = await vaultOf(source)
    const error = await refusal(vault, source, ONLY_V2)
    expect(error).toMatchObject({ code: 'ERR_KEK_NOT_LOADED', kekId: 'v1' })
    expect(error.message).toContain('KEK "v1" would go missing, and it is current')
  })

  test('W8: when a KEK would go missing that secrets are still under, until they are moved', async () => {
    const source = changing(ONLY_V1)
    const vault = await vaultOf(source)
    await vault.put('a', 'value')
    source.now = BOTH_WISH_V2
    await vault.reload()
    const error = await refusal(vault, source, ONLY_V2)
    expect(error).toMatchObject({ code: 'ERR_KEK_NOT_LOADED', kekId: 'v1' })
    expect(error.message).toContain('secrets are still under it')
    expect((await vault.get('a'))?.text()).toBe('value')
    await finished(domain, vault, (await vault.rotate()).id)
    source.now = ONLY_V2
    expect((await vault.reload()).removed).toEqual(['v1'])
  })

  test('with every reason at once', async () => {
    const source = changing(ONLY_V1)
    const vault = await vaultOf(source)
    await vault.put('a', 'value')
    source.now = BOTH_WISH_V2
    await vault.reload()
    const { message } = await refusal(vault, source, keys('v3', { v3: V3 }))
    expect(message).toContain('"v1" would go missing')
    expect(message).toContain('"v2" would go missing')
  })

  test('when a KEK was promoted by others while it was on its way out', async () => {
    const a = await vaultOf(BOTH_WISH_V1, { process: 'a' })
    const source = changing(BOTH_WISH_V1)
    let isRacing = false
    const store = interceptStore(domain.store, async ({ method, args, proceed }) => {
      if (isRacing && method === 'writeDocument' && String(args[0]).startsWith('instance/')) {
        isRacing = false
        // Whoever promotes has read the report from before.
        await promote('v2')
      }
      return await proceed()
    })
    const b = await vaultOf(source, { process: 'b', store })
    source.now = ONLY_V1
    isRacing = true
    await expect(b.reload()).rejects.toMatchObject({ code: 'ERR_KEK_NOT_LOADED', kekId: 'v2' })
    expect(await b.status()).toMatchObject({ currentKekId: 'v2', loadedKekIds: ['v1', 'v2'], ready: true })
    await b.put('x', 'value')
    await domain.clock.advance(5_000)
    expect((await a.get('x'))?.kekId).toBe('v2')
  })

  /** Makes a KEK current as another instance does. */
  async function promote(kekId: string): Promise<void> {
    const stored = await domain.store.readDocument('keyring')
    if (stored === null) throw new Error('no keyring document')
    const kek = (await BOTH_WISH_V2.load()).get(kekId)
    if (kek === undefined) throw new Error('no such KEK')
    const document = parseKeyringDocument(stored.value)
    const moment = { at: '2030-01-01T00:00:00.000Z', incarnation: document.incarnation }
    const next = serialiseKeyringDocument(madeCurrent(document, kek, 'promote', moment))
    await domain.store.writeDocument('keyring', stored.revision, next)
  }

  test('when the keyring document is lost and KEKs would go missing; more may come', async () => {
    const source = changing(BOTH_WISH_V1)
    let isLost = false
    const store = interceptStore(domain.store, ({ method, args, proceed }) =>
      isLost && method === 'readDocument' && args[0] === 'keyring' ? Promise.resolve(null) : proceed(),
    )
    const vault = await vaultOf(source, { store })
    await vault.put('a', 'value')
    isLost = true
    source.now = ONLY_V1
    await expect(vault.reload()).rejects.toMatchObject({ code: 'ERR_KEYRING_STATE_LOST' })
    source.now = keys('v1', { v1: V1, v2: V2, v3: V3 })
    expect((await vault.reload()).added).toEqual(['v3'])
    expect((await vault.get('a'))?.text()).toBe('value')
  })

  test('when the store does not answer', async () => {
    const source = changing(ONLY_V1)
    let isAway = false
    const store = interceptStore(domain.store, ({ proceed }) =>
      isAway ? Promise.reject(unavailable()) : proceed(),
    )
    const vault = await vaultOf(source, { store })
    source.now = BOTH_WISH_V2
    isAway = true
    await expect(vault.reload()).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE', retryable: true })
    isAway = false
    expect((await vault.status()).loadedKekIds).toEqual(['v1'])
    await vault.reload()
    expect((await vault.status()).currentKekId).toBe('v2')
  })

  test('when the source is silent until the time is over; the next reload does not wait for it', async () => {
    const source = changing(ONLY_V1)
    const vault = await vaultOf(source)
    source.now = { load: () => new Promise(() => {}) }
    const silent = vault.reload({ timeoutMs: 1_000 })
    await expect(within(silent)).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' })
    source.now = BOTH_WISH_V2
    expect((await vault.reload()).added).toEqual(['v2'])
  })

  test('when the caller aborts it', async () => {
    const source = changing(ONLY_V1)
    const vault = await vaultOf(source)
    const caller = new AbortController()
    source.now = { load: () => new Promise(() => {}) }
    const reload = vault.reload({ signal: caller.signal })
    await domain.clock.settle()
    caller.abort()
    await expect(reload).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' })
  })

  test('when the vault is closed, before it or meanwhile', async () => {
    const source = changing(ONLY_V1)
    const vault = await vaultOf(source)
    source.now = { load: () => new Promise(() => {}) }
    const reload = vault.reload()
    await domain.clock.settle()
    const closing = vault.close()
    await expect(reload).rejects.toMatchObject({ code: 'ERR_VAULT_CLOSED' })
    await closing
    await expect(vault.reload()).rejects.toMatchObject({ code: 'ERR_VAULT_CLOSED' })
  })

  test('as misuse, with a time of nothing', async () => {
    const vault = await vaultOf(ONLY_V1)
    await expect(vault.reload({ timeoutMs: 0 })).rejects.toThrow(TypeError)
  })
})

import { describe, expect, it } from 'vitest'
import { StoreError } from '../../src/errors.ts'
import type { VaultEvent } from '../../src/events.ts'
import type { Runtime } from '../../src/runtime.ts'
import { heldClock } from '../../src/testing.ts'
import { told, toldAllFound, toldDone, toldFound, toldOutcome } from '../../src/vault/call-events.ts'
import type { Secret } from '../../src/vault/secret.ts'
import { BOTH_WISH_V1, testDomain } from '../support/vaults.ts'

const secret = {} as Secret
const unreadClock: Runtime = {
  ...heldClock().runtime,
  monotonicMs: () => {
    throw new Error('the clock was read')
  },
}

describe('a call that somebody hears of', () => {
  it('is told once, with its outcome and how long it took', async () => {
    const clock = heldClock()
    const events: VaultEvent[] = []
    const teller = { emit: (event: VaultEvent) => void events.push(event), runtime: clock.runtime }
    const answer = await told(teller, 'put', toldOutcome, async () => {
      await clock.advance(25)
      return { outcome: 'created', version: 1 } as const
    })
    expect(answer).toEqual({ outcome: 'created', version: 1 })
    expect(events).toEqual([{ type: 'call', operation: 'put', outcome: 'created', durationMs: 25 }])
  })

  it('that fails is told by the code of its error, which goes on to the caller unchanged', async () => {
    const events: VaultEvent[] = []
    const teller = { emit: (event: VaultEvent) => void events.push(event), runtime: heldClock().runtime }
    const outage = new StoreError('ERR_STORE_UNAVAILABLE', 'The test took "a name" away.')
    for (const error of [outage, new TypeError('"a name" is wrong'), 'no error at all']) {
      await expect(told(teller, 'get', toldFound, () => Promise.reject(error as Error))).rejects.toBe(error)
    }
    const thrownAtOnce = () => {
      throw outage
    }
    await expect(told(teller, 'status', toldDone, thrownAtOnce)).rejects.toBe(outage)
    expect(events.map((event) => 'outcome' in event && event.outcome)).toEqual([
      'ERR_STORE_UNAVAILABLE',
      'unexpected',
      'unexpected',
      'ERR_STORE_UNAVAILABLE',
    ])
    expect(JSON.stringify(events)).not.toContain('a name')
  })

  it('has one word for what was read', () => {
    expect([secret, null].map(toldFound)).toEqual(['found', 'missing'])
    expect([[secret, secret], [secret, null], [null, null], []].map(toldAllFound)).toEqual([
      'found',
      'partly',
      'missing',
      'found',
    ])
    expect(toldDone()).toBe('done')
  })
})

describe('a call that nobody hears of', () => {
  it('is the very promise of the call, and no clock is read', async () => {
    const promise = Promise.resolve(secret)
    const notAsked = () => {
      throw new Error('the outcome was asked')
    }
    expect(told({ emit: null, runtime: unreadClock }, 'get', notAsked, () => promise)).toBe(promise)
    await promise
  })
})

describe('a vault', () => {
  it('tells every call of its own and of its views, and none of what it does by itself', async () => {
    const domain = testDomain()
    const vault = await domain.open(BOTH_WISH_V1)
    const view = vault.within(domain.store)
    await vault.put('a', 'value')
    await vault.put('a', 'value', { expectedVersion: 7 })
    await vault.get('a')
    await vault.getMany(['a', 'b'])
    for await (const { name } of vault.list()) expect(name).toBe('a')
    await vault.reencrypt('a')
    await vault.status()
    await view.put('b', 'value')
    await view.get('c')
    await view.getMany(['a', 'b'])
    await view.delete('b')
    await vault.delete('b')
    await expect(vault.import('{}', { name: 'a', keys: [] })).rejects.toThrow()
    await expect(vault.get('')).rejects.toThrow(TypeError)
    await domain.clock.advance(60_000)
    await vault.close()
    await expect(vault.get('a')).rejects.toThrow()
    const calls = domain.events.filter((event) => event.type === 'call')
    expect(calls.map(({ operation, outcome }) => `${operation} ${outcome}`)).toEqual([
      'put created',
      'put conflict',
      'get found',
      'getMany partly',
      'list done',
      'reencrypt reencrypted',
      'status done',
      'put created',
      'get missing',
      'getMany found',
      'delete deleted',
      'delete missing',
      'import unexpected',
      'get unexpected',
      'get ERR_VAULT_CLOSED',
    ])
  })
})

import type { DeclaredSource } from '@talos/envelope'
import { describe, expect, test } from 'vitest'
import { Fleet } from '../../src/lifecycle/fleet.ts'
import { checkDeclaredSources } from '../../src/lifecycle/retirement/declared-source.ts'
import { VaultSources } from '../../src/vault/vault-sources.ts'
import { testDomain } from '../support/vaults.ts'

const count = async (): Promise<number> => 0
const scan = async () => ({ items: [], next: null })
const rewrap = async () => []

describe('what may be declared', () => {
  test('is a source that counts, that expires, or that counts and rotates', () => {
    class Table {
      readonly name = 'a class with methods'
      count = count
      async scan() {
        return await scan()
      }
      async rewrap() {
        return await rewrap()
      }
    }
    const sources: readonly DeclaredSource[] = [
      { name: 'counts', count },
      { name: 'expires', maxAgeMs: 0 },
      { name: 'rotates', count, scan, rewrap },
      new Table(),
    ]
    const declared = new VaultSources(sources)
    expect(declared.list()).toEqual(sources)
    expect([...declared.rotatable().keys()]).toEqual(['rotates', 'a class with methods'])
    expect(declared.find('counts')).toBe(sources[0])
    expect(declared.find('nowhere')).toBeNull()
  })

  test.for([
    ['nothing', { name: 'x' }],
    ['no object', null],
    ['no name', { count }],
    ['an empty name', { name: '', count }],
    ['a long name', { name: 'x'.repeat(129), count }],
    ['a name with a line break', { name: 'a\nb', count }],
    ['a name with a lone surrogate', { name: '\ud800', count }],
    ['a count and an age', { name: 'x', count, maxAgeMs: 1 }],
    ['a negative age', { name: 'x', maxAgeMs: -1 }],
    ['an age without end', { name: 'x', maxAgeMs: Number.POSITIVE_INFINITY }],
    ['a count that is no function', { name: 'x', count: 3 }],
    ['a scan without a rewrap', { name: 'x', count, scan }],
    ['a rewrap without a scan', { name: 'x', count, rewrap }],
    ['a scan and a rewrap without a count', { name: 'x', scan, rewrap }],
    ['a rotation of something that expires', { name: 'x', maxAgeMs: 1, scan, rewrap }],
    ['a scan that is no function', { name: 'x', count, scan: 1, rewrap }],
  ] as const)('is not a source with %s', ([, source]) => {
    const wrong = source as unknown as DeclaredSource
    expect(() => checkDeclaredSources([wrong])).toThrow(TypeError)
    expect(() => new VaultSources().add(wrong)).toThrow(TypeError)
  })

  test('is not two of one name, and not more than 64', () => {
    expect(() =>
      checkDeclaredSources([
        { name: 'x', count },
        { name: 'x', maxAgeMs: 1 },
      ]),
    ).toThrow('one name')
    const many = Array.from({ length: 64 }, (_, index) => ({ name: `source ${index}`, count }))
    const declared = new VaultSources(many)
    expect(() => declared.add({ name: 'one more', count })).toThrow('At most 64')
    expect(() => new VaultSources([...many, { name: 'one more', count }])).toThrow('At most 64')
  })

  test('is not changed by changing the array it was given in', () => {
    const given: DeclaredSource[] = [{ name: 'x', count }]
    const declared = new VaultSources(given)
    given.push({ name: 'y', count })
    ;(declared.list() as DeclaredSource[]).push({ name: 'z', count })
    expect(declared.list().map(({ name }) => name)).toEqual(['x'])
  })
})

describe('the report of an instance', () => {
  const report = {
    instanceId: 'odd',
    process: 'odd/1',
    leaseMs: 15_000,
    wishedKekId: 'v1',
    keks: {},
    epochSeen: 1,
    startedAt: '',
  }

  test.for([
    ['none, as an older version wrote it', undefined, 'member', undefined],
    ['some', ['orders', 'jobs'], 'member', ['orders', 'jobs']],
    ['something that is no list', 'orders', 'unknown', undefined],
    ['a name that is none', ['orders', ''], 'unknown', undefined],
    ['too many', Array.from({ length: 65 }, (_, index) => `source ${index}`), 'unknown', undefined],
  ] as const)('is read with its declared sources: %s', async ([, sources, role, read]) => {
    const { store, clock } = testDomain()
    await store.writeDocument('instance/odd', 0, JSON.stringify({ ...report, sources }))
    const [seen] = await new Fleet(store, clock.runtime, 'me').all({})
    expect([seen?.report.role, seen?.report.sources]).toEqual([role, read])
  })
})

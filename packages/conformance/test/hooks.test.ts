import { MemoryStore } from '@talos/envelope'
import { conformanceChecks, type HookName, type OpenStore, STORE_CHECKS } from '@talos/envelope-conformance'
import { describe, expect, test } from 'vitest'
import { openingRemote } from './remote-store.ts'
import { openingTransactional } from './transactional-store.ts'

const HOOKS: readonly HookName[] = [
  'hold',
  'holdWrite',
  'proxied',
  'outage',
  'destroySealed',
  'restore',
  'clientState',
]
const besides = (...there: HookName[]) => ({ without: HOOKS.filter((hook) => !there.includes(hook)) })

describe('a store behind a network', () => {
  const checks = conformanceChecks(openingRemote(), besides('proxied', 'outage'))
  test.for(checks)('$name', { timeout: 60_000 }, ({ run }) => run())
})

describe('a store with transactions that stay open', () => {
  const checks = conformanceChecks(openingTransactional(), besides('holdWrite'))
  test.for(checks)('$name', ({ run }) => run())
})

describe('a store without a hook that was not declared missing', () => {
  const open: OpenStore = async () => ({ store: new MemoryStore(), close: async () => {} })

  test('fails the checks that need it, by an error that names it', async () => {
    const needing = STORE_CHECKS.filter(({ needs }) => needs !== undefined)
    expect(needing.length).toBeGreaterThan(0)
    for (const { id, needs } of needing) {
      const bound = conformanceChecks(open).find((check) => check.id === id)
      await expect(bound?.run()).rejects.toThrow(`without: ['${[needs].flat()[0]}']`)
    }
  })

  test('is not asked for it once it was declared missing', () => {
    const all = conformanceChecks(open)
    const some = conformanceChecks(open, { without: HOOKS })
    expect(all).toHaveLength(STORE_CHECKS.length)
    expect(some.map(({ id }) => id)).toEqual(
      STORE_CHECKS.filter(({ needs }) => needs === undefined).map(({ id }) => id),
    )
  })
})

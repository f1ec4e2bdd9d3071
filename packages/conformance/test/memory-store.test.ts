import { MemoryStore, type MemoryStoreOptions } from '@talos/envelope'
import { conformanceChecks, type HookName, type OpenStore } from '@talos/envelope-conformance'
import { describe, test } from 'vitest'
import { seeded } from './seeded.ts'

// What a process's own memory does not have: somebody else's lock or transaction, a network, bytes on a disk, a client.
const without: readonly HookName[] = [
  'hold',
  'holdWrite',
  'proxied',
  'outage',
  'destroySealed',
  'restore',
  'clientState',
]

describe('a memory store', () => {
  const open: OpenStore = async () => ({ store: new MemoryStore(), close: async () => {} })
  for (const { name, run } of conformanceChecks(open, { without })) test(name, run)
})

describe.each([1, 2, 3])('a memory store in disorder, seed %i', (seed) => {
  const checks = conformanceChecks(opening({ disorder: { random: seeded(seed) }, recordsPerShard: 1 }), {
    without,
  })
  for (const { name, run } of checks) test(name, run)
})

function opening(options: MemoryStoreOptions): OpenStore {
  return async () => {
    let ahead = 0
    const store = new MemoryStore({ monotonicMs: () => performance.now() + ahead, ...options })
    const advance = (milliseconds: number) => {
      ahead += milliseconds
    }
    return { store, advance, close: async () => {} }
  }
}

import { MemoryStore, type MemoryStoreOptions } from '@talos/envelope'
import { type OpenStore, runStoreCheck, STORE_CHECKS } from '@talos/envelope-conformance'
import { describe, expect, test } from 'vitest'
import { FLAWED_STORES } from './flawed-store.ts'

/** A seeded source, so that a failing order can be had again (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function opening(options: () => MemoryStoreOptions, Store = MemoryStore): OpenStore {
  return async () => {
    let ahead = 0
    const store = new Store({ monotonicMs: () => performance.now() + ahead, ...options() })
    const advance = (milliseconds: number) => {
      ahead += milliseconds
    }
    return { store, advance, close: async () => {} }
  }
}

// What a process's own memory does not have: a lock of others, a client, a restore, bytes on a disk.
const checks = STORE_CHECKS.filter(({ needs }) => needs === undefined)

describe('a memory store', () => {
  test.each(checks)('[$clause] $title', (check) =>
    runStoreCheck(
      check,
      opening(() => ({})),
    ),
  )
})

describe.each([1, 2, 3])('a memory store in disorder, seed %i', (seed) => {
  const open = opening(() => ({ disorder: { random: seeded(seed) } }))
  test.each(checks)('[$clause] $title', (check) => runStoreCheck(check, open))
})

describe('the checks find a store that', () => {
  const cases = FLAWED_STORES.flatMap(({ flaw, clauses, Store }) =>
    clauses.map((clause) => ({ flaw, clause, Store })),
  )
  test.each(cases)('$flaw, by [$clause]', async ({ clause, Store }) => {
    const open: OpenStore = async () => ({
      store: new Store({ disorder: { random: seeded(1) } }),
      close: async () => {},
    })
    const verdicts: string[] = []
    for (const check of checks.filter((check) => check.clause === clause)) {
      verdicts.push(
        await runStoreCheck(check, open).then(
          () => 'passed',
          () => 'failed',
        ),
      )
    }
    expect(verdicts).toContain('failed')
  })
})

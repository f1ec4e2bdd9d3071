import { conformanceChecks, STORE_CHECKS } from '@talos/envelope-conformance'
import { afterAll, describe, expect, test } from 'vitest'
import { FLAWED_STORES, type FlawedStore } from './flawed-store.ts'

const HOOKS = [...new Set(STORE_CHECKS.flatMap(({ needs }) => needs ?? []))]
const CLAUSES = new Set(STORE_CHECKS.map(({ clause }) => clause))

/** Runs every check that the store has the hooks for, and answers the clauses that are not kept. */
async function brokenClauses({ open }: FlawedStore): Promise<string[]> {
  const under = await open()
  const without = HOOKS.filter((hook) => under[hook] === undefined)
  await under.close()
  const broken = new Set<string>()
  for (const { clause, run } of conformanceChecks(open, { without })) {
    await run().catch(() => broken.add(clause))
  }
  return [...broken].sort()
}

describe('the checks find, by exactly the clauses it breaks, a store that', () => {
  let caught = 0
  test.for(FLAWED_STORES)('$flaw', { timeout: 120_000 }, async (store) => {
    expect(await brokenClauses(store)).toEqual(store.clauses)
    caught += 1
  })
  afterAll(() => {
    const asked = `${STORE_CHECKS.length} checks of ${CLAUSES.size} clauses`
    console.log(`${caught} of ${FLAWED_STORES.length} broken stores caught by ${asked}`)
  })
})

test('there are broken stores enough, and no clause that none of them breaks', () => {
  expect(FLAWED_STORES.length).toBeGreaterThanOrEqual(12)
  expect(new Set(FLAWED_STORES.flatMap(({ clauses }) => clauses))).toEqual(CLAUSES)
})

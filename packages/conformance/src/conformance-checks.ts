import assert from 'node:assert/strict'
import type { NumberedCheck } from './store-check.ts'
import { hooksOf, type OpenStore, type OptionalMethod, runStoreCheck } from './store-check.ts'
import { STORE_CHECKS } from './store-checks.ts'
import type { HookName } from './store-hooks.ts'

/** Options of {@link conformanceChecks}. */
export interface ConformanceOptions {
  /**
   * The hooks that cannot be had with this kind of store, and the optional methods that it does not have. The checks that need
   * them are left out; every other one must be there, so that none is forgotten in silence. For a method one check remains, of
   * the number 0: that it is not there.
   *
   * @defaultValue none: every check is run
   */
  readonly without?: readonly (HookName | OptionalMethod)[]
}

/** A check bound to a factory of stores: what a test runner needs of it. */
export interface BoundCheck {
  /** The clause's id and a count, such as `CAS-1.2`. */
  readonly id: string
  /** The clause's id in the contract, such as `CAS-1`. */
  readonly clause: string
  /** What must hold, as a sentence. */
  readonly title: string
  /** The name of a test: `[CAS-1.2] …`. */
  readonly name: string
  /** Opens stores of its own, runs the check and closes them. Rejects when the clause does not hold. */
  readonly run: () => Promise<void>
}

/**
 * Binds every check of the store contract to one kind of store.
 *
 * @param open - Opens a fresh, empty store, with the hooks that its kind has. Checks may run at the same time.
 * @returns The checks in the order of the contract, ready to be given to any test runner.
 */
export function conformanceChecks(open: OpenStore, options: ConformanceOptions = {}): readonly BoundCheck[] {
  const without = new Set<string>(options.without)
  const checks = STORE_CHECKS.filter(
    ({ needs, method }) =>
      !hooksOf({ needs: needs ?? [] }).some((hook) => without.has(hook)) && !without.has(method ?? ''),
  )
  return [...checks, ...(without.has('shards') ? [UNDIVIDED] : [])].map((check) => ({
    id: check.id,
    clause: check.clause,
    title: check.title,
    name: `[${check.id}] ${check.title}`,
    run: () => runStoreCheck(check, open),
  }))
}

/** Says in every report which clauses were not asked for, and that there was nothing to ask. */
const UNDIVIDED: NumberedCheck = {
  id: 'SHARD-1.0',
  clause: 'SHARD-1',
  title:
    'has no method shards: SHARD-1 and SHARD-2 were not checked, and rotations read the store as one shard',
  async run(context) {
    const { store } = await context.open()
    assert.equal(store.shards, undefined, "the store has shards; take 'shards' out of `without`")
  },
}

import { hooksOf, type OpenStore, runStoreCheck } from './store-check.ts'
import { STORE_CHECKS } from './store-checks.ts'
import type { HookName } from './store-hooks.ts'

/** Options of {@link conformanceChecks}. */
export interface ConformanceOptions {
  /**
   * The hooks that cannot be had with this kind of store. The checks that need them are left out; every other hook must be
   * there, so that none is forgotten in silence.
   *
   * @defaultValue none: every check is run
   */
  readonly without?: readonly HookName[]
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
  const without = new Set(options.without)
  return STORE_CHECKS.filter((check) => !hooksOf(check).some((hook) => without.has(hook))).map((check) => ({
    id: check.id,
    clause: check.clause,
    title: check.title,
    name: `[${check.id}] ${check.title}`,
    run: () => runStoreCheck(check, open),
  }))
}

import type { Stage, Template } from '../stage.ts'
import type { Truth } from '../truth.ts'

/** One step of a roll-out, and what every instance must come to say of it. */
export interface Step {
  readonly label: string
  readonly run: (stage: Stage) => Promise<void>
  readonly truth: Truth
}

/** A roll-out from three instances under v1. */
export interface Scenario {
  readonly name: string
  readonly steps: readonly Step[]
  /** At most so many leases after the last old process was gone, or before the vault of a restarted one was open. */
  readonly promoted: number | 'at opening' | 'never'
}

type Run = Step['run']

export const restart =
  (slot: string, template: Template): Run =>
  (stage) =>
    stage.restart(slot, template)
export const rotate =
  (slot: string): Run =>
  (stage) =>
    stage.rotate(slot)

// Reasons against the retirement of v1, in the order of the clauses.
export const RECORDS = 'S1 records_remain'
const IN_USE = 'S7 is_current'
export const NO_ESCROW = 'S9 escrow_not_recorded'
// The servers of tests run without fsync, and the store says so.
export const ADVISORY = 'S3 store_advisory'
const WHILE_CURRENT = [RECORDS, ADVISORY, IN_USE, NO_ESCROW]
/** v2 is current, and secrets are under v1. */
export const WHILE_STALE = [RECORDS, ADVISORY, NO_ESCROW]
/** All is done that a rotation does. */
export const LEFT = [ADVISORY, NO_ESCROW]

/** v1 is current. */
export const underV1 = (fleet: readonly string[], pending: Truth['pending'] = null): Truth => ({
  current: 'v1',
  pending,
  fleet,
  retirement: WHILE_CURRENT,
})
/** v2 is current, and no promotion pending. */
export const underV2 = (fleet: readonly string[], retirement: readonly string[]): Truth => ({
  current: 'v2',
  pending: null,
  fleet,
  retirement,
})

export const ALL_NEW = ['a v1 v2', 'b v1 v2', 'c v1 v2']

/** The fleet before any step. */
export const BEFORE = underV1(['a v1', 'b v1', 'c v1'])

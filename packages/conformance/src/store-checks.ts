import { CAS_CHECKS } from './cas-checks.ts'
import { CENSUS_CHECKS } from './census-checks.ts'
import { DIVIDED_WRITE_CHECKS } from './divided-write-checks.ts'
import { DOCUMENT_CHECKS } from './document-checks.ts'
import { ERROR_CONTENT_CHECKS } from './error-content-checks.ts'
import { FAILURE_CHECKS } from './failure-checks.ts'
import { GUARD_CHECKS } from './guard-checks.ts'
import { HELD_WRITE_CHECKS } from './held-write-checks.ts'
import { LIMIT_CHECKS } from './limit-checks.ts'
import { OUTAGE_CHECKS } from './outage-checks.ts'
import { RACE_CHECKS } from './race-checks.ts'
import { READ_CHECKS } from './read-checks.ts'
import { SCAN_CHECKS } from './scan-checks.ts'
import { SHARD_CHECKS } from './shard-checks.ts'
import type { NumberedCheck, StoreCheck } from './store-check.ts'

/** Every check of the store contract. A store that passes all of them keeps every clause as far as it can be seen. */
export const STORE_CHECKS: readonly NumberedCheck[] = numbered([
  ...READ_CHECKS,
  ...SCAN_CHECKS,
  ...RACE_CHECKS,
  ...CAS_CHECKS,
  ...GUARD_CHECKS,
  ...HELD_WRITE_CHECKS,
  ...CENSUS_CHECKS,
  ...DOCUMENT_CHECKS,
  ...LIMIT_CHECKS,
  ...FAILURE_CHECKS,
  ...OUTAGE_CHECKS,
  ...DIVIDED_WRITE_CHECKS,
  ...ERROR_CONTENT_CHECKS,
  ...SHARD_CHECKS,
])

/** Counts the checks of each clause from 1; what is added behind the others leaves their numbers alone. */
function numbered(checks: readonly StoreCheck[]): NumberedCheck[] {
  const counts = new Map<string, number>()
  return checks.map((check) => {
    const count = (counts.get(check.clause) ?? 0) + 1
    counts.set(check.clause, count)
    return { id: `${check.clause}.${count}`, ...check }
  })
}

import { CAS_CHECKS } from './cas-checks.ts'
import { CENSUS_CHECKS } from './census-checks.ts'
import { DOCUMENT_CHECKS } from './document-checks.ts'
import { FAILURE_CHECKS } from './failure-checks.ts'
import { GUARD_CHECKS } from './guard-checks.ts'
import { LIMIT_CHECKS } from './limit-checks.ts'
import { RACE_CHECKS } from './race-checks.ts'
import { READ_CHECKS } from './read-checks.ts'
import { SCAN_CHECKS } from './scan-checks.ts'
import type { StoreCheck } from './store-check.ts'

/** Every check of the store contract. A store that passes all of them keeps every clause as far as it can be seen. */
export const STORE_CHECKS: readonly StoreCheck[] = [
  ...READ_CHECKS,
  ...SCAN_CHECKS,
  ...RACE_CHECKS,
  ...CAS_CHECKS,
  ...GUARD_CHECKS,
  ...CENSUS_CHECKS,
  ...DOCUMENT_CHECKS,
  ...LIMIT_CHECKS,
  ...FAILURE_CHECKS,
]

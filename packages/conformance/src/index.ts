export type { BoundCheck, ConformanceOptions } from './conformance-checks.ts'
export { conformanceChecks } from './conformance-checks.ts'
export type { Address, CuttingProxy } from './cutting-proxy.ts'
export { openCuttingProxy } from './cutting-proxy.ts'
export type {
  ClauseContext,
  NumberedCheck,
  Opened,
  OpenStore,
  OptionalMethod,
  StoreCheck,
  StoreUnderTest,
} from './store-check.ts'
export { runStoreCheck } from './store-check.ts'
export { STORE_CHECKS } from './store-checks.ts'
export type { HeldWrite, HookName, ProxiedClient, StoreHooks } from './store-hooks.ts'

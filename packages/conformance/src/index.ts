export type {
  ClauseContext,
  Opened,
  OpenStore,
  StoreCheck,
  StoreHooks,
  StoreUnderTest,
} from './store-check.ts'
export { runStoreCheck } from './store-check.ts'
export { STORE_CHECKS } from './store-checks.ts'

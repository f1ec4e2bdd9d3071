export type { ErrorCode, ErrorDetails } from './errors.ts'
export { EnvelopeError, isEnvelopeError, StoreError } from './errors.ts'
export { checkChanges, checkDocument, checkNames, pageLimit, STORE_LIMITS } from './store/limits.ts'
export type { Disorder, MemoryStoreOptions } from './store/memory-store.ts'
export { MemoryStore } from './store/memory-store.ts'
export type {
  CallOptions,
  Change,
  Outcome,
  Page,
  SecretHeader,
  SecretStore,
  StoredDocument,
  StoredSecret,
  StoreIdentity,
} from './store/secret-store.ts'
export { KEYRING_DOCUMENT } from './store/secret-store.ts'

export type { Codec, CodecOptions, EncryptionContext, EnvelopeItem, RewrapResult } from './codec/codec.ts'
export { createCodec } from './codec/codec.ts'
export type { EnvelopeHeader } from './codec/peek.ts'
export { peek } from './codec/peek.ts'
export type {
  DecryptReason,
  ErrorCode,
  ErrorDetails,
  FormatReason,
  KeyFault,
  ProviderErrorCode,
  SourceErrorCode,
} from './errors.ts'
export {
  DecryptError,
  EnvelopeError,
  ERROR_CODES,
  FormatError,
  isEnvelopeError,
  KeyError,
  LifecycleError,
  ProviderError,
  SourceError,
  StoreError,
} from './errors.ts'
export type { EventListener, VaultEvent } from './events.ts'
export type { Suite } from './format/envelope-v2.ts'
export type { EnvironmentKeysOptions } from './keyring/env-source.ts'
export { environmentKeys } from './keyring/env-source.ts'
export type { OpenKekOptions, SealFor, SealKekOptions } from './keyring/escrow.ts'
export { inspectSealedKek, openKek, sealKek } from './keyring/escrow.ts'
export type { SealedKekHeader } from './keyring/escrow-file.ts'
export type { EscrowKeyPair } from './keyring/escrow-key.ts'
export { generateEscrowKeyPair } from './keyring/escrow-key.ts'
export type { DirectoryKeysOptions } from './keyring/file-source.ts'
export { directoryKeys } from './keyring/file-source.ts'
export { generateKek } from './keyring/generate-kek.ts'
export type { ImportKey } from './keyring/import-keys.ts'
export type { Kek, LocalKek } from './keyring/kek.ts'
export type {
  KeyProvider,
  KeyProviderCallOptions,
  KeyProviderName,
  ProviderCallOptions,
} from './keyring/key-provider.ts'
export type { ExplicitKeysOptions, KeySource } from './keyring/key-source.ts'
export { explicitKeys } from './keyring/key-source.ts'
export type { Keyring } from './keyring/keyring.ts'
export { OpenedKek } from './keyring/opened-kek.ts'
export type { RemoteKek } from './keyring/remote-kek.ts'
export type { RemoteKeks } from './keyring/remote-keks.ts'
export type { AuditAction, AuditDetails, AuditEvent, AuditNotes, AuditSink } from './lifecycle/audit.ts'
export type { FleetRole } from './lifecycle/fleet.ts'
export type { InstanceKek, InstanceStatus, KekHolding } from './lifecycle/fleet-agreement.ts'
export type { KekState } from './lifecycle/kek-state.ts'
export type { KekFence } from './lifecycle/keyring-document.ts'
export type { WaitingFor, WaitingReason } from './lifecycle/promote.ts'
export type { ReadinessReason } from './lifecycle/readiness.ts'
export type { ReloadResult } from './lifecycle/reload.ts'
export type {
  RetirementCertificate,
  RetirementClause,
  RetirementEvidence,
  RetirementReason,
  RetirementReasonCode,
  SourceElsewhere,
  SourceEvidence,
} from './lifecycle/retirement/certificate.ts'
export type {
  CountedSource,
  DeclaredSource,
  ExpiringSource,
  RotatableSource,
  SourceChange,
  SourceEnvelope,
  SourceOutcome,
} from './lifecycle/retirement/declared-source.ts'
export type { AuditPage, AuditRetention } from './lifecycle/store-audit.ts'
export { StoreAudit } from './lifecycle/store-audit.ts'
export type {
  RotationError,
  RotationFailure,
  RotationOperation,
  RotationStatus,
  RotationTotals,
} from './rotation/operation.ts'
export type { EnqueueOptions, RotationRunner, ShardJob, ShardOutcome, ShardWork } from './rotation/runner.ts'
export type { Runtime, Timer } from './runtime.ts'
export {
  checkChanges,
  checkDocument,
  checkNames,
  checkShard,
  pageLimit,
  STORE_LIMITS,
  shardLimit,
} from './store/limits.ts'
export type { Disorder, MemoryStoreOptions } from './store/memory-store.ts'
export { MemoryStore } from './store/memory-store.ts'
export type { NameRange } from './store/name-ranges.ts'
export { nameRangeOf, nameShards, shardCount } from './store/name-ranges.ts'
export type {
  CallOptions,
  CensusOptions,
  Change,
  Outcome,
  Page,
  ScanQuery,
  SecretHeader,
  SecretStore,
  StoredDocument,
  StoredSecret,
  StoreIdentity,
} from './store/secret-store.ts'
export { KEYRING_DOCUMENT } from './store/secret-store.ts'
export type { OpenVaultOptions } from './vault/open-vault.ts'
export { openVault } from './vault/open-vault.ts'
export type { Secret } from './vault/secret.ts'
export type {
  AuditEventsOptions,
  CallerContext,
  DeleteOptions,
  DeleteResult,
  GetOptions,
  ImportOptions,
  ListOptions,
  ListPageOptions,
  PutOptions,
  PutResult,
  ReencryptResult,
  RotateOptions,
  RotateResult,
  SecretEntry,
  SecretVault,
  VaultView,
} from './vault/secret-vault.ts'
export type {
  AdoptOptions,
  CheckRetirementOptions,
  ConfirmStoreOptions,
  KekCommandOptions,
  KekCommandResult,
  PromoteOptions,
  RetireOptions,
  VaultKeks,
} from './vault/vault-keks.ts'
export type {
  FollowRotationOptions,
  ListRotationsOptions,
  RotationCommandOptions,
  VaultRotations,
} from './vault/vault-rotations.ts'
export type { VaultSources } from './vault/vault-sources.ts'
export type { KekStatus, StatusCounts, VaultStatus } from './vault/vault-status.ts'

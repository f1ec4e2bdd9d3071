import type { KekResolver } from '../codec/unwrap.ts'
import type { EventListener } from '../events.ts'
import type { Kek } from '../keyring/kek.ts'
import type { KeyringState } from '../lifecycle/keyring-state.ts'
import type { PromotionOutlook } from '../lifecycle/promote.ts'
import type { Runtime } from '../runtime.ts'
import type { SecretStore } from '../store/secret-store.ts'
import type { OperationLog } from './operation-log.ts'
import type { RewrapTarget } from './rewrap-target.ts'
import type { RotationRunner } from './runner.ts'

/** What engine and workers work with; they reach nothing else. */
export interface RotationSurroundings {
  readonly store: SecretStore
  readonly log: OperationLog
  readonly runtime: Runtime
  readonly keyring: KeyringState
  readonly namespace: string
  readonly instanceId: string
  readonly leaseMs: number
  readonly runner: RotationRunner
  readonly resolve: KekResolver<Kek>
  /** The KEK to wrap under, if this instance holds it with the bound bytes and may wrap under it. */
  readonly targetKek: (kekId: string) => Kek | null
  /** What the promotion of a KEK looks like from here. */
  readonly outlook: (kekId: string) => Promise<PromotionOutlook>
  /** Whether another live instance holds all of these KEKs with the bound bytes. */
  readonly othersHold: (kekIds: readonly string[]) => Promise<boolean>
  /** The declared sources of this instance that can be rotated. */
  readonly sources: () => readonly RewrapTarget[]
  readonly emit: EventListener
}

import type { InstanceStatus } from '../lifecycle/fleet-agreement.ts'
import type { KekState } from '../lifecycle/kek-state.ts'
import type { WaitingFor } from '../lifecycle/promote.ts'
import type { ReadinessReason } from '../lifecycle/readiness.ts'

/** One KEK as this instance and the keyring document know it. */
export interface KekStatus {
  readonly id: string
  /** `provisioned`: held by this instance, never promoted. */
  readonly state: KekState | 'provisioned'
  /** 16 hexadecimal digits: the bound one, or that of the bytes held here while none is bound. */
  readonly fingerprint: string
  /** Whether this instance holds it, with the bound bytes. */
  readonly loaded: boolean
  /** Records under it, by the census of this status. */
  readonly records: number
  /** When it last became current: RFC 3339 UTC, as the other times; `null` for what has not happened. */
  readonly promotedAt: string | null
  /** When it left `current`. */
  readonly fencedAt: string | null
  readonly suspendedAt: string | null
  readonly retiredAt: string | null
  readonly compromisedAt: string | null
  readonly escrowedAt: string | null
}

/** The census of a status: exact up to 100,000 records of a KEK, and up to 10,000 of the target. */
export interface StatusCounts {
  /** With `advisory` a 0 is no proof. */
  readonly level: 'strong' | 'advisory'
  /** When it began: RFC 3339 UTC. */
  readonly asOf: string
  readonly records: number
  /** The KEKs with at least the number told. While there is one, `records` is a lower bound too. */
  readonly atLeast: readonly string[]
}

/** What `status` answers: readiness, the promotion that waits, and the records under each KEK. */
export interface VaultStatus {
  readonly ready: boolean
  /** Why not; empty when ready. */
  readonly reasons: readonly ReadinessReason[]
  readonly namespace: string
  readonly instanceId: string
  /** Version of the keyring document; `null` when there is none. */
  readonly epoch: number | null
  /** The KEK new values are wrapped under; `null` when the keyring state was lost. */
  readonly currentKekId: string | null
  /** The KEK that a rotation started now goes towards: the wished one while its promotion is pending. */
  readonly targetKekId: string | null
  /** The KEK this instance's key source names as current. */
  readonly wishedKekId: string
  /** The promotion that waits, and for whom; `null` when none does. */
  readonly pending: { readonly kekId: string; readonly waitingFor: readonly WaitingFor[] } | null
  /** Things an operator should know that do not affect readiness, in words. */
  readonly notices: readonly string[]
  readonly loadedKekIds: readonly string[]
  readonly keks: readonly KekStatus[]
  /** Records under each KEK other than the target that is not retired, 0 included. A 0 is always exact; see `counts`. */
  readonly staleCounts: Readonly<Record<string, number>>
  /** How far the numbers here, in `staleCounts` and in `keks` reach. */
  readonly counts: StatusCounts
  /** Every instance but those with `fleet: 'none'`. */
  readonly fleet: readonly InstanceStatus[]
}

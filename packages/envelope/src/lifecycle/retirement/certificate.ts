import type { InstanceStatus } from '../fleet-agreement.ts'
import type { KekState } from '../kek-state.ts'
import type { KekFence } from '../keyring-document.ts'

/** The clauses of rule S: a KEK may be retired when all of them hold at one moment. */
export type RetirementClause = 'S1' | 'S2' | 'S3' | 'S4' | 'S5' | 'S6' | 'S7' | 'S8' | 'S9'

/** What stands in the way of a retirement, as stable codes. */
export type RetirementReasonCode =
  | 'records_remain'
  | 'never_fenced'
  | 'store_advisory'
  | 'source_holds_envelopes'
  | 'source_not_expired'
  | 'source_not_counted'
  | 'source_not_declared_here'
  | 'operation_targets_it'
  | 'instance_behind'
  | 'instance_disagrees'
  | 'instance_unknown'
  | 'is_current'
  | 'same_bytes'
  | 'incarnation_changed'
  | 'epoch_went_back'
  | 'escrow_not_recorded'

/** One clause that does not hold. */
export interface RetirementReason {
  readonly clause: RetirementClause
  readonly code: RetirementReasonCode
  /** `blocks`: not safe. `advises`: cannot be told for certain on this store. */
  readonly weight: 'blocks' | 'advises'
  /** What is wrong, which id, and what to do about it. */
  readonly message: string
}

/** What an envelope source outside of the store said; see {@link DeclaredSource}. */
export interface SourceEvidence {
  readonly name: string
  /** Envelopes under the KEK; `null` for a source that is bounded by age or could not be counted. */
  readonly envelopes: number | null
  /** The oldest an envelope of it can be; `null` for a source that counts. */
  readonly maxAgeMs: number | null
  /** Why it could not be counted: an error's stable code and message. `null` for every other source. */
  readonly fault: { readonly code: string; readonly message: string } | null
}

/** A source that other live instances have declared and the one that was asked has not. */
export interface SourceElsewhere {
  readonly name: string
  /** The processes of these instances, such as `web-1/4711`; at most 10 of them. */
  readonly processes: readonly string[]
}

/** What was seen of each clause. */
export interface RetirementEvidence {
  /** The whole census, begun after the keyring document was read. */
  readonly S1: {
    readonly records: number
    readonly census: Readonly<Record<string, number>>
    readonly begunAt: string
  }
  /** The fence; it has settled, because a store answers no document whose fence has not. */
  readonly S2: { readonly fence: KekFence | null; readonly revision: number }
  readonly S3: {
    readonly kind: string
    readonly level: 'strong' | 'advisory'
    readonly reasons: readonly string[]
  }
  /** The other places of envelopes that the owner has declared. */
  readonly S4: {
    readonly sources: readonly SourceEvidence[]
    /** What other live instances have declared besides, by name. */
    readonly elsewhere: readonly SourceElsewhere[]
    readonly statement: string
  }
  /** The newest rotation. */
  readonly S5: {
    readonly operation: { readonly id: string; readonly status: string; readonly targetKekId: string } | null
  }
  readonly S6: { readonly needed: readonly string[]; readonly instances: readonly InstanceStatus[] }
  readonly S7: { readonly currentKekId: string; readonly sameBytesAs: readonly string[] }
  readonly S8: {
    readonly incarnation: string
    readonly incarnationAtFence: string | null
    readonly epoch: number
    /** The highest epoch that a live instance, this process or the caller knows of. */
    readonly highestEpoch: number
  }
  readonly S9: { readonly escrowedAt: string | null; readonly acceptedLossOfBackups: string | null }
}

/** Whether a KEK can be removed for good, with what that rests on. JSON as it is. */
export interface RetirementCertificate {
  readonly schema: 'talos.retirement-certificate.1'
  readonly verdict: 'SAFE' | 'ADVISORY' | 'NOT_SAFE'
  /** Empty when it is safe. */
  readonly reasons: readonly RetirementReason[]
  readonly kekId: string
  /** 16 hexadecimal digits. */
  readonly fingerprint: string
  readonly state: KekState
  /** The keyring domain: it speaks of no other store and no other namespace. */
  readonly namespace: string
  readonly storeKind: string
  readonly incarnation: string
  readonly epoch: number
  /** The instance that asked, and when: RFC 3339 UTC. */
  readonly instanceId: string
  readonly checkedAt: string
  readonly evidence: RetirementEvidence
}

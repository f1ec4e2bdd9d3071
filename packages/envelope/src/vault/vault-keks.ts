import type { AuditNotes } from '../lifecycle/audit.ts'
import type { RetirementCertificate } from '../lifecycle/retirement/certificate.ts'
import type { CallOptions } from '../store/secret-store.ts'

/** Options of every command that changes the keyring document. */
export interface KekCommandOptions extends CallOptions, AuditNotes {
  /** Refuses the command with `ERR_EPOCH_CHANGED` when the keyring document is at another epoch. @defaultValue any epoch */
  readonly expectedEpoch?: number
}

/** Options of `promote`. */
export interface PromoteOptions extends KekCommandOptions {
  /**
   * Instances, by id, that are not waited for: hung ones that cannot be stopped, at most 36. They fail to read what is written
   * from then on until they hold the KEK. Needs a `reason`.
   *
   * @defaultValue none
   */
  readonly skipInstances?: readonly string[]
}

/** Options of `checkRetirement`. */
export interface CheckRetirementOptions extends CallOptions {
  /** An epoch that is known from elsewhere, such as the last certificate: a store below it has gone back. @defaultValue none */
  readonly minEpoch?: number
  /** Why it does no harm that backups under this KEK can never be read again: takes the place of an escrow. @defaultValue none */
  readonly acceptLossOfBackups?: string
}

/** Options of `retire`. */
export interface RetireOptions extends KekCommandOptions, CheckRetirementOptions {
  /**
   * Why an `ADVISORY` verdict is good enough. Together with the other reasons at most 1,024 characters.
   *
   * @defaultValue none: only `SAFE` is
   */
  readonly acceptAdvisory?: string
}

/** What a command did. */
export interface KekCommandResult {
  /** The epoch of the keyring document after it. */
  readonly epoch: number
}

/**
 * The life of KEKs, beyond what environments and rotations do by themselves. Each command is one conditional write of the
 * keyring document, audited before and after; without an audit it is refused with `ERR_AUDIT_UNAVAILABLE`.
 *
 * All throw `LifecycleError` with `ERR_KEK_UNKNOWN`, `ERR_TRANSITION_REFUSED`, `ERR_EPOCH_CHANGED`, `ERR_KEYRING_STATE_LOST` or
 * `ERR_AUDIT_UNAVAILABLE`, and `StoreError`; then nothing was changed, except for `ERR_STORE_OUTCOME_UNKNOWN`.
 */
export interface VaultKeks {
  /**
   * Answers whether a KEK can be removed for good. Counts all records; changes nothing.
   *
   * @param kekId - A KEK that was current once.
   * @returns The verdict, every reason against it with what to do, and the evidence. It holds for its epoch at its time:
   * `retire` looks again.
   */
  checkRetirement(kekId: string, options?: CheckRetirementOptions): Promise<RetirementCertificate>

  /**
   * Makes a KEK current by command instead of by the wish of an environment. This instance must hold it, and every live
   * instance that is not skipped.
   *
   * @throws LifecycleError `ERR_PROMOTION_BLOCKED`: `reasons` name each instance and what it lacks.
   * @throws TypeError when instances are skipped without a reason.
   */
  promote(kekId: string, options?: PromoteOptions): Promise<KekCommandResult>

  /**
   * Makes a decrypt-only KEK current once more: the way back from a promotion, while every live instance holds both.
   *
   * @throws LifecycleError `ERR_PROMOTION_BLOCKED`; `ERR_KEK_COMPROMISED`.
   */
  reactivate(kekId: string, options?: KekCommandOptions): Promise<KekCommandResult>

  /**
   * Makes every instance refuse to unwrap under a decrypt-only KEK and tell who tries: the rehearsal of its removal, undone at
   * once by `resume`. Takes effect at each instance with its next heartbeat. Refused while secrets are under it.
   */
  suspend(kekId: string, options?: KekCommandOptions): Promise<KekCommandResult>

  /** Ends a suspension. */
  resume(kekId: string, options?: KekCommandOptions): Promise<KekCommandResult>

  /**
   * Retires a KEK: checks every clause and, at the same epoch, leaves a tombstone. Its id is never used again; its bytes can be
   * taken out of every key source.
   *
   * @returns The certificate that it rests on. Keep it with the escrow.
   * @throws LifecycleError `ERR_NOT_SAFE_TO_RETIRE` with the reasons.
   */
  retire(kekId: string, options?: RetireOptions): Promise<RetirementCertificate>

  /**
   * Notes that others may know a KEK: it never becomes current again, and rotations ask for `acknowledgeCompromised`, because
   * re-wrapping does not make a known DEK secret again. For good.
   */
  markCompromised(kekId: string, options?: KekCommandOptions): Promise<KekCommandResult>

  /**
   * Notes that a KEK was sealed for escrow. The text says which one; that it can be opened is for its keepers to try.
   *
   * @param sealed - What `sealKek` returned.
   * @throws FormatError when the text is no sealed KEK.
   */
  recordEscrow(sealed: string, options?: KekCommandOptions): Promise<KekCommandResult>
}

/** Options of `adopt`. */
export interface AdoptOptions extends Omit<KekCommandOptions, 'expectedEpoch'> {
  /** The KEK to be current. @defaultValue the one that the key source names */
  readonly currentKekId?: string
  /**
   * The highest epoch known from elsewhere, up to 1,000,000; the new document begins above it, and is written once for each
   * step up to it. Interrupted in that, with `ERR_STORE_OUTCOME_UNKNOWN`, it is finished by `confirmStore`.
   *
   * @defaultValue none
   */
  readonly minEpoch?: number
}

/** Options of `confirmStore`. */
export interface ConfirmStoreOptions extends KekCommandOptions {
  /**
   * The highest epoch known from elsewhere, up to 1,000,000; the document goes on above it, and is written once for each step
   * from its revision up to it. Interrupted in that, with `ERR_STORE_OUTCOME_UNKNOWN`, call it again.
   *
   * @defaultValue none
   */
  readonly minEpoch?: number
}

import type { AuditNotes } from '../lifecycle/audit.ts'
import type { RotationFailure, RotationOperation } from '../rotation/operation.ts'
import type { CallOptions } from '../store/secret-store.ts'

/** Options of every command that an operator gives to a rotation. */
export interface RotationCommandOptions extends CallOptions, AuditNotes {}

/** Options of `rotations.list`. */
export interface ListRotationsOptions extends CallOptions {
  /** 1 to 100. @defaultValue 20 */
  readonly limit?: number
}

/** Options of `rotations.follow`. `timeoutMs` holds for each look. */
export interface FollowRotationOptions extends CallOptions {
  /** Milliseconds between two looks: 50 to 60,000. @defaultValue 1_000 */
  readonly everyMs?: number
}

/**
 * The rotations of a keyring domain: what they have done, and what an operator can ask of them. Every instance answers alike,
 * whoever does the work. The last 100 are kept, with up to 1,000 failures of each shard.
 *
 * The commands change the newest operation. A worker heeds them after the batch that it is writing; asking for what is so
 * already changes nothing. They throw `LifecycleError` `ERR_ROTATION_UNKNOWN`; `ERR_ROTATION_STATE` for a status that does not
 * take the command, and for an operation that is not the newest; and `StoreError`.
 */
export interface VaultRotations {
  /** Reads an operation; `null` for an unknown id. */
  get(operationId: string, options?: CallOptions): Promise<RotationOperation | null>

  /** Lists operations, the newest first. */
  list(options?: ListRotationsOptions): Promise<readonly RotationOperation[]>

  /** Lists the records that the last pass of an operation could not re-wrap; none for an unknown id. */
  failures(operationId: string, options?: CallOptions): AsyncIterable<RotationFailure>

  /**
   * Looks at an operation again and again: yields it at once and then whenever it has changed, last of all with its final
   * status. A paused one is waited for.
   *
   * @throws LifecycleError `ERR_ROTATION_UNKNOWN`; `ERR_VAULT_CLOSED` when the vault is closed meanwhile.
   */
  follow(operationId: string, options?: FollowRotationOptions): AsyncIterable<RotationOperation>

  /** Stops the work on a running operation until `resume`. Nothing is lost: what was done stays done. */
  pause(operationId: string, options?: RotationCommandOptions): Promise<RotationOperation>

  /** Has a paused operation go on where it was, whether an operator or an outage paused it. */
  resume(operationId: string, options?: RotationCommandOptions): Promise<RotationOperation>

  /** Ends a running or paused operation for good. What was re-wrapped stays so; the next `rotate` does the rest. */
  cancel(operationId: string, options?: RotationCommandOptions): Promise<RotationOperation>

  /** Has a failed operation look once more at what is still stale, after the damage was mended. */
  retryFailed(operationId: string, options?: RotationCommandOptions): Promise<RotationOperation>
}

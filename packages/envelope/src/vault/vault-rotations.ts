import type { RotationFailure, RotationOperation } from '../rotation/operation.ts'
import type { CallOptions } from '../store/secret-store.ts'

/** The rotations of a keyring domain. */
export interface VaultRotations {
  /** Reads an operation; `null` for an unknown id. */
  get(operationId: string, options?: CallOptions): Promise<RotationOperation | null>

  /** Lists the records an operation could not re-wrap. */
  failures(operationId: string, options?: CallOptions): AsyncIterable<RotationFailure>
}

/** What an open vault tells its host: ids, counts and codes, never content. */
export type VaultEvent =
  | {
      /** A KEK became current; the former one only decrypts from here on. */
      readonly type: 'promoted'
      readonly kekId: string
      readonly formerKekId: string
      readonly epoch: number
    }
  | {
      /** The wished KEK waits for this many instances. Sent when the number changes. */
      readonly type: 'promotion_waiting'
      readonly kekId: string
      readonly instances: number
    }
  | {
      /** Readiness changed, or was found out for the first time. `messages` name the ids needed. */
      readonly type: 'readiness'
      readonly ready: boolean
      readonly messages: readonly string[]
    }
  | {
      /** An operation changed its status, began a pass or made progress here. The totals are what this instance knows. */
      readonly type: 'rotation'
      readonly operationId: string
      readonly status: string
      readonly pass: number
      readonly targetKekId: string
      readonly dryRun: boolean
      readonly scanned: number
      readonly rewrapped: number
      readonly failed: number
    }
  | {
      /** This instance has written one batch of a rotation. */
      readonly type: 'rotation_batch'
      readonly operationId: string
      /** Then nothing was written, and `rewrapped` is what would have been. */
      readonly dryRun: boolean
      /** The sum of the following four and of those that were under the target already. */
      readonly records: number
      readonly rewrapped: number
      readonly changed: number
      readonly deleted: number
      readonly failed: number
      /** Milliseconds that planning took, without what was planned ahead; then those of the store. */
      readonly planMs: number
      readonly writeMs: number
    }
  | {
      /** A rotation could not re-wrap a record, for the reason that its list of failures gives. */
      readonly type: 'quarantined'
      readonly operationId: string
      readonly kekId: string | null
      readonly reason: string
    }
  | {
      /** The current KEK is older than `rotationDueAfterMs`. Sent at most once a day by each instance. */
      readonly type: 'rotation_due'
      readonly kekId: string
      readonly ageMs: number
    }
  | {
      /** A call of the vault has ended. */
      readonly type: 'call'
      readonly operation: 'put' | 'get' | 'getMany' | 'delete' | 'list' | 'import' | 'reencrypt' | 'status'
      /** What it answered, such as `created`, `conflict`, `found` or `missing`; else the error's code, or `unexpected`. */
      readonly outcome: string
      readonly durationMs: number
    }
  | {
      /** The key source was loaded again. A KEK id that has other bytes than before is among both. */
      readonly type: 'reloaded'
      readonly added: readonly string[]
      readonly removed: readonly string[]
      readonly wishedKekId: string
    }
  | {
      /** An operator's command has changed the keyring document. */
      readonly type: 'keyring_changed'
      /** The command, as the audit names it. */
      readonly by: string
      /** The KEK that was named; `null` for a change of the whole document. */
      readonly kekId: string | null
      readonly epoch: number
    }
  | {
      /**
       * A secret is under a KEK that should have none left: a suspended one, which was refused, or a retired one, which means
       * that the store or a record was restored. Sent once for each KEK and epoch.
       */
      readonly type: 'unexpected_kek'
      readonly kekId: string
      readonly state: 'suspended' | 'retired'
    }
  | {
      /** Background work met a fault and goes on trying, or a reload was refused and changed nothing. */
      readonly type: 'fault'
      readonly during: 'heartbeat' | 'rotation' | 'reload' | 'audit'
      /** The error's stable code, or `unexpected`. */
      readonly code: string
      readonly message: string
    }

/** Hears events. What it throws is dropped: telemetry never stops the work. */
export type EventListener = (event: VaultEvent) => void

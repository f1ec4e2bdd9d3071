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
      /** An operation changed its status or made progress. */
      readonly type: 'rotation'
      readonly operationId: string
      readonly status: string
      readonly scanned: number
      readonly rewrapped: number
      readonly failed: number
    }
  | {
      /** Background work met a fault and goes on trying. */
      readonly type: 'fault'
      readonly during: 'heartbeat' | 'rotation'
      /** The error's stable code, or `unexpected`. */
      readonly code: string
      readonly message: string
    }

/** Hears events. What it throws is dropped: telemetry never stops the work. */
export type EventListener = (event: VaultEvent) => void

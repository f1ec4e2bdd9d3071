import type { CallOptions } from '../store/secret-store.ts'

/** What was done. */
export type AuditAction =
  | 'promote'
  | 'suspend'
  | 'resume'
  | 'retire'
  | 'reactivate'
  | 'adopt'
  | 'confirm_store'
  | 'mark_compromised'
  | 'record_escrow'
  | 'rotate'
  | 'pause_rotation'
  | 'resume_rotation'
  | 'cancel_rotation'
  | 'retry_rotation'
  | 'reload'
  | 'put_secret'
  | 'delete_secret'

/** Facts beside the fixed fields: at most 16, ids, counts and codes. Texts have at most 128 characters. */
export type AuditDetails = Readonly<Record<string, string | number | boolean | null>>

/** One line of the audit trail. Holds ids, names, counts and codes, and what an operator gave as reason; never content. */
export interface AuditEvent {
  /** UUIDv7 (RFC 9562): sorts by time, and tells an event that is written again from a new one. */
  readonly id: string
  /** When, by the clock of the process: RFC 3339, UTC. */
  readonly at: string
  readonly action: AuditAction
  /**
   * `intent` before the work. After it `done`, or `failed` with the error's stable code as `details.code`; both name the
   * intent's id as `details.intentId`. An intent without either: the process died in between, or could not write it.
   */
  readonly phase: 'intent' | 'done' | 'failed'
  readonly namespace: string
  readonly instanceId: string
  /** The process as operators know it, such as `web-1/4711`. */
  readonly process: string
  /** The KEK concerned; `null` where it is none or not one. */
  readonly kekId: string | null
  /** Of the keyring document: with `intent` the epoch that was seen, with `done` the one written; `null` where none. */
  readonly epoch: number | null
  /** What an operator gave as reason: at most 1,024 characters. */
  readonly reason: string | null
  /** Who asked, as the host named them: at most 256 characters. */
  readonly actor: string | null
  readonly details: AuditDetails
}

/** Where audit events go. */
export interface AuditSink {
  /**
   * Keeps one event. It is kept for good when the promise fulfils; a rejection means that it may not be.
   *
   * The same event, by its `id`, may be given again after a rejection, also while the first call still runs. It is to be
   * kept once.
   *
   * @param event - The event, frozen.
   * @param options - When the caller gives up. It does so whether the sink heeds them or not.
   */
  append(event: AuditEvent, options?: CallOptions): Promise<void>
}

/** What somebody says of a change that he asks for. */
export interface AuditNotes {
  /** Why, for the audit: one line of at most 1,024 characters. @defaultValue none */
  readonly reason?: string
  /** Who asked, for the audit: at most 256 characters. @defaultValue none */
  readonly actor?: string
}

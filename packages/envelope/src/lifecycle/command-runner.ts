import { LifecycleError } from '../errors.ts'
import type { EventListener } from '../events.ts'
import { type Runtime, timestamp } from '../runtime.ts'
import type { CallOptions } from '../store/secret-store.ts'
import type { AuditAction, AuditDetails, AuditNotes } from './audit.ts'
import type { AuditOutcome, AuditTrail } from './audit-trail.ts'
import type { KeyringDocument } from './keyring-document.ts'
import type { KeyringSnapshot, KeyringState } from './keyring-state.ts'
import { STATE_LOST_MESSAGE } from './readiness.ts'
import { unsteady } from './refusals.ts'

/** What every command works with. */
export interface RunnerSurroundings {
  readonly state: KeyringState
  readonly runtime: Runtime
  readonly trail: AuditTrail
  readonly emit: EventListener
  /** Lets this instance report what it has seen, so that nobody waits for its next heartbeat; never fails. */
  readonly follow: (options: CallOptions) => Promise<void>
}

/** What an operator says with a command. */
export interface CommandNotes extends AuditNotes {
  /** Refuses the command when the keyring document is at another epoch by then. */
  readonly expectedEpoch?: number
}

/** One command on its way: what is told of it, and how to make store calls. */
export interface Command extends CommandNotes {
  readonly action: AuditAction
  readonly kekId: string | null
  readonly next: () => CallOptions
}

/** How often a change is made again because another one came first. */
export const ATTEMPTS = 5

/**
 * Carries commands out: each is audited before and after, and is one conditional write of the keyring document; of two at once
 * the second one looks again.
 */
export class CommandRunner {
  readonly #with: RunnerSurroundings

  constructor(surroundings: RunnerSurroundings) {
    this.#with = surroundings
  }

  /** Makes one change of the document, again when another one came first. */
  change(
    command: Command,
    make: (snapshot: KeyringSnapshot) => Promise<KeyringDocument>,
    details: Readonly<Record<string, string>> = {},
    complete: () => Promise<void> = async () => {},
  ): Promise<number> {
    const { state } = this.#with
    return this.audited(command, details, async () => {
      for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
        const snapshot = await state.refresh(command.next())
        if (snapshot === null) throw new LifecycleError('ERR_KEYRING_STATE_LOST', STATE_LOST_MESSAGE)
        this.checkEpoch(snapshot.document, command)
        const changed = await make(snapshot)
        if (await state.replace(snapshot, changed, command.next())) {
          await complete()
          this.tell(command, changed)
          return { result: changed.epoch, epoch: changed.epoch }
        }
      }
      throw unsteady()
    })
  }

  /** Does the work of a command between its two lines in the audit. */
  audited<T>(
    { action, kekId, reason, actor, next }: Command,
    details: AuditDetails,
    work: () => Promise<{ readonly result: T } & AuditOutcome>,
  ): Promise<T> {
    const epoch = this.#with.state.snapshot?.document.epoch ?? null
    const doWork = async (note: (outcome: AuditOutcome) => void): Promise<T> => {
      const { result, ...outcome } = await work()
      note(outcome)
      await this.#with.follow({})
      return result
    }
    return this.#with.trail.around(
      { action, kekId, epoch, reason, actor, details },
      'destructive',
      doWork,
      next(),
    )
  }

  /** @throws LifecycleError `ERR_EPOCH_CHANGED` when the caller saw another epoch. */
  checkEpoch({ epoch }: KeyringDocument, { expectedEpoch }: CommandNotes): void {
    if (expectedEpoch === undefined || expectedEpoch === epoch) return
    throw new LifecycleError(
      'ERR_EPOCH_CHANGED',
      `The keyring document is at epoch ${epoch} and not at ${expectedEpoch}. Look at it again, then repeat the command with ` +
        'the epoch you saw. Nothing was changed.',
    )
  }

  /** Tells the host that a command has changed the document. */
  tell({ action, kekId }: Command, { epoch }: KeyringDocument): void {
    this.#with.emit({ type: 'keyring_changed', by: action, kekId, epoch })
  }

  /** The time of a change: RFC 3339 UTC. */
  now(): string {
    return timestamp(this.#with.runtime)
  }
}

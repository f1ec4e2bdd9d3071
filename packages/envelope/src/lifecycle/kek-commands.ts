import { LifecycleError } from '../errors.ts'
import type { EventListener } from '../events.ts'
import type { KeyringReader } from '../keyring/held-keyring.ts'
import type { Kek } from '../keyring/kek.ts'
import { isTested } from '../keyring/remote-kek.ts'
import { timestamp } from '../runtime.ts'
import type { CallOptions } from '../store/secret-store.ts'
import { chooseAdopted, surveyRecords } from './adopt.ts'
import type { AuditAction, AuditDetails, AuditOutcome, AuditTrail } from './audit.ts'
import type { InstanceReport } from './fleet.ts'
import {
  adoptedDocument,
  checkTransition,
  confirmed,
  knownKek,
  madeCurrent,
  moved,
  noted,
} from './keyring-changes.ts'
import { type KeyringDocument, kekEntry } from './keyring-document.ts'
import type { KeyringSnapshot } from './keyring-state.ts'
import { checkPromotion, obstacles } from './promote.ts'
import { holding, STATE_LOST_MESSAGE } from './readiness.ts'
import { blockedFor, compromised, nothingLost, notSafe, stillUsed, unsteady } from './refusals.ts'
import type { RetirementCertificate } from './retirement/certificate.ts'
import type { GateSurroundings, RetirementGate } from './retirement/retirement-gate.ts'

/** What commands work with. */
export interface CommandSurroundings
  extends Pick<GateSurroundings, 'store' | 'state' | 'fleet' | 'runtime' | 'namespace'> {
  readonly keyring: KeyringReader
  readonly mayWrap: (kekId: string) => boolean
  readonly gate: RetirementGate
  readonly trail: AuditTrail
  readonly emit: EventListener
  /** Lets this instance report what it has seen, so that nobody waits for its next heartbeat; never fails. */
  readonly follow: (options: CallOptions) => Promise<void>
}

/** What an operator says with a command. */
export interface CommandNotes {
  /** Why; goes to the audit. */
  readonly reason?: string
  /** Who; goes to the audit. */
  readonly actor?: string
  /** Refuses the command when the keyring document is at another epoch by then. */
  readonly expectedEpoch?: number
}

/** What an operator takes upon himself with a retirement, each with the reason. */
export interface AcceptedRisks {
  readonly advisory?: string
  readonly lossOfBackups?: string
}

/** One command on its way: what is told of it, and how to make store calls. */
interface Command extends CommandNotes {
  readonly action: AuditAction
  readonly kekId: string | null
  readonly next: () => CallOptions
}

/** How often a change is made again because another one came first. */
const ATTEMPTS = 5

/**
 * The changes of the keyring document that an operator asks for. Each is audited before and after, and is one conditional
 * write: of two commands at once the second one looks again.
 */
export class KekCommands {
  readonly #with: CommandSurroundings

  constructor(surroundings: CommandSurroundings) {
    this.#with = surroundings
  }

  /** @throws LifecycleError `ERR_PROMOTION_BLOCKED` with everything that stands in the way. */
  promote(
    kekId: string,
    skip: readonly string[],
    notes: CommandNotes,
    next: () => CallOptions,
  ): Promise<number> {
    return this.#makeCurrent('promote', kekId, skip, { ...notes, action: 'promote', kekId, next })
  }

  /** @throws LifecycleError `ERR_KEK_UNKNOWN`, `ERR_TRANSITION_REFUSED`, `ERR_KEK_COMPROMISED`, `ERR_PROMOTION_BLOCKED`. */
  reactivate(kekId: string, notes: CommandNotes, next: () => CallOptions): Promise<number> {
    return this.#makeCurrent('reactivate', kekId, [], { ...notes, action: 'reactivate', kekId, next })
  }

  /** @throws LifecycleError `ERR_TRANSITION_REFUSED` also while records are under the KEK: they could not be read. */
  suspend(kekId: string, notes: CommandNotes, next: () => CallOptions): Promise<number> {
    const command: Command = { ...notes, action: 'suspend', kekId, next }
    return this.#change(command, async ({ document }) => {
      const changed = moved(document, kekId, 'suspend', this.#now())
      const records = (await this.#with.store.census(next())).get(kekId) ?? 0
      if (records > 0) throw stillUsed(kekId, records)
      return changed
    })
  }

  /** @throws LifecycleError `ERR_KEK_UNKNOWN`, `ERR_TRANSITION_REFUSED`. */
  resume(kekId: string, notes: CommandNotes, next: () => CallOptions): Promise<number> {
    const command: Command = { ...notes, action: 'resume', kekId, next }
    return this.#change(command, async ({ document }) => moved(document, kekId, 'resume', this.#now()))
  }

  /** @throws LifecycleError `ERR_NOT_SAFE_TO_RETIRE` with the reasons of the gate. */
  async retire(
    kekId: string,
    accepted: AcceptedRisks & { readonly minEpoch?: number },
    notes: CommandNotes,
    next: () => CallOptions,
  ): Promise<RetirementCertificate> {
    const command: Command = { ...withAccepted(notes, accepted), action: 'retire', kekId, next }
    const claims = {
      ...(accepted.minEpoch === undefined ? {} : { minEpoch: accepted.minEpoch }),
      ...(accepted.lossOfBackups === undefined ? {} : { acceptLossOfBackups: accepted.lossOfBackups }),
    }
    return await this.#audited(command, {}, async () => {
      for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
        const { certificate, snapshot } = await this.#with.gate.check(kekId, claims, next, (document) =>
          this.#checkEpoch(document, notes),
        )
        const changed = moved(snapshot.document, kekId, 'retire', this.#now())
        const { verdict, reasons } = certificate
        const isAccepted = verdict === 'ADVISORY' && accepted.advisory !== undefined
        if (verdict !== 'SAFE' && !isAccepted) throw notSafe(kekId, certificate)
        // Only at the revision that was judged: whoever changed it since may have made it unsafe.
        if (await this.#with.state.replace(snapshot, changed, next())) {
          this.#tell(command, changed)
          const codes = reasons.map(({ code }) => code).join(' ')
          return { result: certificate, epoch: changed.epoch, details: { verdict, reasons: codes } }
        }
      }
      throw unsteady()
    })
  }

  /** @throws LifecycleError `ERR_KEK_UNKNOWN`. */
  markCompromised(kekId: string, notes: CommandNotes, next: () => CallOptions): Promise<number> {
    const command: Command = { ...notes, action: 'mark_compromised', kekId, next }
    return this.#change(command, async ({ document }) => {
      const compromisedAt = knownKek(document, kekId).compromisedAt ?? this.#now()
      return noted(document, kekId, { compromisedAt })
    })
  }

  /**
   * @param sealed - What the sealed file says it holds.
   * @throws LifecycleError `ERR_TRANSITION_REFUSED` when that is another KEK.
   */
  recordEscrow(
    sealed: { readonly kekId: string; readonly fingerprint: string },
    notes: CommandNotes,
    next: () => CallOptions,
  ): Promise<number> {
    const { kekId, fingerprint } = sealed
    const command: Command = { ...notes, action: 'record_escrow', kekId, next }
    return this.#change(command, async ({ document }) => {
      const bound = knownKek(document, kekId).fingerprint
      if (bound !== fingerprint) {
        const why =
          `the sealed file holds bytes of fingerprint ${fingerprint}, and ${bound} is bound to KEK "${kekId}". Seal the ` +
          'bytes that this keyring domain uses'
        throw new LifecycleError(
          'ERR_TRANSITION_REFUSED',
          `The escrow was not recorded: ${why}. Nothing was changed.`,
          { reasons: [why] },
        )
      }
      return noted(document, kekId, { escrowedAt: this.#now() })
    })
  }

  /** Says that the store as it is now is the one to go on with: fences are made anew, above every epoch that is known. */
  confirmStore(
    notes: CommandNotes & { readonly minEpoch?: number },
    next: () => CallOptions,
  ): Promise<number> {
    const command: Command = { ...notes, action: 'confirm_store', kekId: null, next }
    return this.#change(
      command,
      async ({ document }) => {
        const { incarnation } = await this.#with.store.identify(next())
        const highest = await this.#highestEpoch(notes.minEpoch, next)
        return confirmed(document, highest, { at: this.#now(), incarnation })
      },
      {},
      () => this.#with.state.raiseRevision(next),
    )
  }

  /**
   * Makes the keyring document anew from what the records say.
   *
   * @throws LifecycleError `ERR_ADOPTION_REFUSED` with every reason; also where there is a document.
   */
  adopt(
    asked: CommandNotes & { readonly currentKekId?: string; readonly minEpoch?: number },
    next: () => CallOptions,
  ): Promise<number> {
    const { store, state, keyring, namespace } = this.#with
    const kekId = asked.currentKekId ?? keyring.wishedKekId
    const command: Command = { ...asked, action: 'adopt', kekId, next }
    return this.#audited(command, {}, async () => {
      if ((await state.refresh(next())) !== null) throw nothingLost()
      const survey = await surveyRecords(store, next)
      const chosen = chooseAdopted(survey, kekId, this.#with)
      const epoch = (await this.#highestEpoch(asked.minEpoch, next)) + 1
      const { incarnation } = await store.identify(next())
      const document = adoptedDocument(namespace, { ...chosen, epoch }, { at: this.#now(), incarnation })
      if (!(await state.replace(null, document, next()))) throw nothingLost()
      await state.raiseRevision(next)
      this.#tell(command, document)
      const records = [...survey.keks.values()].reduce((sum, kek) => sum + kek.records, 0)
      return { result: epoch, epoch, details: { records, damaged: survey.damaged } }
    })
  }

  #makeCurrent(
    by: 'promote' | 'reactivate',
    kekId: string,
    skip: readonly string[],
    command: Command,
  ): Promise<number> {
    const { store, fleet } = this.#with
    return this.#change(
      command,
      async ({ document }) => {
        if (by === 'reactivate') knownKek(document, kekId)
        checkTransition(document, kekId, by)
        if (kekEntry(document, kekId)?.compromisedAt) throw compromised(kekId)
        const kek = this.#wrappingKek(kekId, document)
        const all = await fleet.live(command.next())
        const live = all.filter(({ instanceId }) => !skip.includes(instanceId))
        const reasons = obstructions(by, kek, document, live)
        if (reasons.length > 0) throw blockedFor(kekId, reasons)
        const { incarnation } = await store.identify(command.next())
        return madeCurrent(document, kek, by, { at: this.#now(), incarnation })
      },
      skippedDetails(skip),
    )
  }

  /** The KEK as this instance holds it: whoever makes it current must be able to wrap under it. */
  #wrappingKek(kekId: string, document: KeyringDocument): Kek {
    const { keyring, mayWrap } = this.#with
    const kek = keyring.get(kekId)
    const held = holding(keyring, document, kekId)
    if (kek === undefined || held === 'missing') throw blockedFor(kekId, ['It is not loaded here.'])
    if (held === 'other_bytes')
      throw blockedFor(kekId, ['It is loaded here with other bytes than the bound ones.'])
    if (!mayWrap(kekId)) throw blockedFor(kekId, ['It may only unwrap here.'])
    if (kek.suite === '0002' && !isTested(kek))
      throw blockedFor(kekId, ['It has not passed its self-test here.'])
    return kek
  }

  /** Makes one change of the document, again when another one came first. */
  #change(
    command: Command,
    make: (snapshot: KeyringSnapshot) => Promise<KeyringDocument>,
    details: Readonly<Record<string, string>> = {},
    complete: () => Promise<void> = async () => {},
  ): Promise<number> {
    const { state } = this.#with
    return this.#audited(command, details, async () => {
      for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
        const snapshot = await state.refresh(command.next())
        if (snapshot === null) throw new LifecycleError('ERR_KEYRING_STATE_LOST', STATE_LOST_MESSAGE)
        this.#checkEpoch(snapshot.document, command)
        const changed = await make(snapshot)
        if (await state.replace(snapshot, changed, command.next())) {
          await complete()
          this.#tell(command, changed)
          return { result: changed.epoch, epoch: changed.epoch }
        }
      }
      throw unsteady()
    })
  }

  #audited<T>(
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

  #checkEpoch({ epoch }: KeyringDocument, { expectedEpoch }: CommandNotes): void {
    if (expectedEpoch === undefined || expectedEpoch === epoch) return
    throw new LifecycleError(
      'ERR_EPOCH_CHANGED',
      `The keyring document is at epoch ${epoch} and not at ${expectedEpoch}. Look at it again, then repeat the command with ` +
        'the epoch you saw. Nothing was changed.',
    )
  }

  async #highestEpoch(minEpoch: number | undefined, next: () => CallOptions): Promise<number> {
    // Silent ones, too: whoever is stopped may go on.
    const seen = (await this.#with.fleet.all(next())).map(({ report }) => report.epochSeen)
    return Math.max(minEpoch ?? 0, this.#with.state.highestEpoch, ...seen)
  }

  #tell({ action, kekId }: Command, { epoch }: KeyringDocument): void {
    this.#with.emit({ type: 'keyring_changed', by: action, kekId, epoch })
  }

  #now(): string {
    return timestamp(this.#with.runtime)
  }
}

/** The reason of a retirement together with what was accepted for it, as the audit keeps them. */
function withAccepted(notes: CommandNotes, { advisory, lossOfBackups }: AcceptedRisks): CommandNotes {
  const texts = [
    ...(notes.reason === undefined ? [] : [notes.reason]),
    ...(advisory === undefined ? [] : [`Advisory verdict accepted: ${advisory}`]),
    ...(lossOfBackups === undefined ? [] : [`Loss of backups accepted: ${lossOfBackups}`]),
  ]
  return texts.length === 0 ? notes : { ...notes, reason: texts.join(' | ') }
}

/** All ids, three to a detail: more of them would be cut there. */
function skippedDetails(skip: readonly string[]): Readonly<Record<string, string>> {
  const details: Record<string, string> = {}
  for (let from = 0; from < skip.length; from += 3) {
    const name = from === 0 ? 'skippedInstances' : `skippedInstances${from / 3 + 1}`
    details[name] = skip.slice(from, from + 3).join(' ')
  }
  return details
}

function obstructions(
  by: 'promote' | 'reactivate',
  kek: { readonly id: string; readonly fingerprint: string },
  document: KeyringDocument,
  live: readonly InstanceReport[],
): readonly string[] {
  if (by === 'reactivate') return obstacles(kek, document, live).map(({ message }) => message)
  const verdict = checkPromotion(kek, document, live)
  if (verdict.kind === 'blocked') return verdict.reasons
  return verdict.kind === 'waiting' ? verdict.waitingFor.map(({ message }) => message) : []
}

import { LifecycleError } from '../errors.ts'
import type { KeyringReader } from '../keyring/held-keyring.ts'
import type { Kek } from '../keyring/kek.ts'
import { isTested } from '../keyring/remote-kek.ts'
import type { CallOptions } from '../store/secret-store.ts'
import { ATTEMPTS, type Command, type CommandNotes, type CommandRunner } from './command-runner.ts'
import type { InstanceReport } from './fleet.ts'
import { checkTransition, knownKek, madeCurrent, moved, noted } from './keyring-changes.ts'
import { type KeyringDocument, kekEntry } from './keyring-document.ts'
import { checkPromotion, obstacles } from './promote.ts'
import { holding } from './readiness.ts'
import { blockedFor, compromised, notSafe, stillUsed, unsteady } from './refusals.ts'
import type { RetirementCertificate } from './retirement/certificate.ts'
import type { GateSurroundings, RetirementGate } from './retirement/retirement-gate.ts'

/** What commands about single KEKs work with. */
export interface KekCommandSurroundings extends Pick<GateSurroundings, 'store' | 'state' | 'fleet'> {
  readonly keyring: KeyringReader
  readonly mayWrap: (kekId: string) => boolean
  readonly gate: RetirementGate
  readonly runner: CommandRunner
}

/** What an operator takes upon himself with a retirement, each with the reason. */
export interface AcceptedRisks {
  readonly advisory?: string
  readonly lossOfBackups?: string
}

/** What an operator commands about one KEK. */
export class KekCommands {
  readonly #with: KekCommandSurroundings

  constructor(surroundings: KekCommandSurroundings) {
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
    return this.#with.runner.change(command, async ({ document }) => {
      const changed = moved(document, kekId, 'suspend', this.#with.runner.now())
      const records = (await this.#with.store.census(next())).get(kekId) ?? 0
      if (records > 0) throw stillUsed(kekId, records)
      return changed
    })
  }

  /** @throws LifecycleError `ERR_KEK_UNKNOWN`, `ERR_TRANSITION_REFUSED`. */
  resume(kekId: string, notes: CommandNotes, next: () => CallOptions): Promise<number> {
    const command: Command = { ...notes, action: 'resume', kekId, next }
    return this.#with.runner.change(command, async ({ document }) =>
      moved(document, kekId, 'resume', this.#with.runner.now()),
    )
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
    return await this.#with.runner.audited(command, {}, async () => {
      for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
        const { certificate, snapshot } = await this.#with.gate.check(kekId, claims, next, (document) =>
          this.#with.runner.checkEpoch(document, notes),
        )
        const changed = moved(snapshot.document, kekId, 'retire', this.#with.runner.now())
        const { verdict, reasons } = certificate
        const isAccepted = verdict === 'ADVISORY' && accepted.advisory !== undefined
        if (verdict !== 'SAFE' && !isAccepted) throw notSafe(kekId, certificate)
        // Only at the revision that was judged: whoever changed it since may have made it unsafe.
        if (await this.#with.state.replace(snapshot, changed, next())) {
          this.#with.runner.tell(command, changed)
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
    return this.#with.runner.change(command, async ({ document }) => {
      const compromisedAt = knownKek(document, kekId).compromisedAt ?? this.#with.runner.now()
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
    return this.#with.runner.change(command, async ({ document }) => {
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
      return noted(document, kekId, { escrowedAt: this.#with.runner.now() })
    })
  }

  #makeCurrent(
    by: 'promote' | 'reactivate',
    kekId: string,
    skip: readonly string[],
    command: Command,
  ): Promise<number> {
    const { store, fleet } = this.#with
    return this.#with.runner.change(
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
        return madeCurrent(document, kek, by, { at: this.#with.runner.now(), incarnation })
      },
      skippedDetails(skip),
    )
  }

  /** The KEK as this instance holds it: whoever makes it current must be able to wrap under it. */
  #wrappingKek(kekId: string, document: KeyringDocument): Kek {
    const { keyring, mayWrap } = this.#with
    const kek = keyring.get(kekId)
    const held = holding(keyring, document, kekId)
    if (kek === undefined || held === 'missing')
      throw blockedFor(kekId, ['It is not loaded here. Add it to the key source of this instance.'])
    if (held === 'other_bytes')
      throw blockedFor(kekId, [
        'It is loaded here with other bytes than the bound ones. Give the key source those of its fingerprint.',
      ])
    if (!mayWrap(kekId))
      throw blockedFor(kekId, [
        'It may only unwrap here. Take it off the list of the key source; where import was given its bytes, take a new KEK.',
      ])
    if (kek.suite === '0002' && !isTested(kek))
      throw blockedFor(kekId, [
        'It has not passed its self-test here. See that this instance reaches its key provider and may use the key.',
      ])
    return kek
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

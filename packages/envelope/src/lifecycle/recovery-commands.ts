import type { KeyringReader } from '../keyring/held-keyring.ts'
import type { CallOptions } from '../store/secret-store.ts'
import { chooseAdopted, surveyRecords } from './adopt.ts'
import type { Command, CommandNotes, CommandRunner } from './command-runner.ts'
import { adoptedDocument, confirmed } from './keyring-changes.ts'
import { nothingLost } from './refusals.ts'
import type { GateSurroundings } from './retirement/retirement-gate.ts'

/** What the commands for the day after a loss work with. */
export interface RecoverySurroundings
  extends Pick<GateSurroundings, 'store' | 'state' | 'fleet' | 'namespace'> {
  readonly keyring: KeyringReader
  readonly mayWrap: (kekId: string) => boolean
  readonly runner: CommandRunner
}

/** What an operator commands after a restore, a failover or the loss of the keyring document. */
export class RecoveryCommands {
  readonly #with: RecoverySurroundings

  constructor(surroundings: RecoverySurroundings) {
    this.#with = surroundings
  }

  /** Says that the store as it is now is the one to go on with: fences are made anew, above every epoch that is known. */
  confirmStore(
    notes: CommandNotes & { readonly minEpoch?: number },
    next: () => CallOptions,
  ): Promise<number> {
    const command: Command = { ...notes, action: 'confirm_store', kekId: null, next }
    return this.#with.runner.change(
      command,
      async ({ document }) => {
        const { incarnation } = await this.#with.store.identify(next())
        const highest = await this.#highestEpoch(notes.minEpoch, next)
        return confirmed(document, highest, { at: this.#with.runner.now(), incarnation })
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
    return this.#with.runner.audited(command, {}, async () => {
      if ((await state.refresh(next())) !== null) throw nothingLost()
      const survey = await surveyRecords(store, next)
      const chosen = chooseAdopted(survey, kekId, this.#with)
      const epoch = (await this.#highestEpoch(asked.minEpoch, next)) + 1
      const { incarnation } = await store.identify(next())
      const document = adoptedDocument(
        namespace,
        { ...chosen, epoch },
        { at: this.#with.runner.now(), incarnation },
      )
      if (!(await state.replace(null, document, next()))) throw nothingLost()
      await state.raiseRevision(next)
      this.#with.runner.tell(command, document)
      const records = [...survey.keks.values()].reduce((sum, kek) => sum + kek.records, 0)
      return { result: epoch, epoch, details: { records, damaged: survey.damaged } }
    })
  }

  async #highestEpoch(minEpoch: number | undefined, next: () => CallOptions): Promise<number> {
    // Silent ones, too: whoever is stopped may go on.
    const seen = (await this.#with.fleet.all(next())).map(({ report }) => report.epochSeen)
    return Math.max(minEpoch ?? 0, this.#with.state.highestEpoch, ...seen)
  }
}

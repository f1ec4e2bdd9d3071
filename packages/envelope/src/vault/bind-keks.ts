import { inspectSealedKek } from '../keyring/escrow.ts'
import type { KekCommands } from '../lifecycle/kek-commands.ts'
import type { RetirementGate } from '../lifecycle/retirement/retirement-gate.ts'
import type { CallOptions } from '../store/secret-store.ts'
import { checkEpoch, checkKekId, checkReason } from './arguments.ts'
import type { VaultKeks } from './vault-keks.ts'

/** As many as one event of the audit can name. */
const MOST_SKIPPED = 36
const INSTANCE_ID = /^[\x21-\x7e]{1,36}$/

/** How the vault runs a call: counted, with a deadline of its own. */
export type RunCall = <T>(
  options: CallOptions | undefined,
  call: (next: () => CallOptions) => Promise<T>,
) => Promise<T>

/** Binds gate and commands to a vault's way of running calls, with their arguments checked. */
export function bindKeks(gate: RetirementGate, commands: KekCommands, run: RunCall): VaultKeks {
  const onKek = <T>(
    kekId: string,
    options: CallOptions | undefined,
    call: (next: () => CallOptions) => Promise<T>,
  ): Promise<T> =>
    run(options, (next) => {
      checkKekId(kekId)
      return call(next)
    })
  return {
    checkRetirement: (kekId, options = {}) =>
      onKek(kekId, options, async (next) => {
        checkReason('acceptLossOfBackups', options.acceptLossOfBackups)
        checkEpoch('minEpoch', options.minEpoch)
        return (await gate.check(kekId, options, next)).certificate
      }),
    promote: (kekId, options = {}) =>
      onKek(kekId, options, async (next) => {
        const { skipInstances = [], reason } = options
        if (skipInstances.length > MOST_SKIPPED || skipInstances.some((id) => !INSTANCE_ID.test(id)))
          throw new TypeError(
            `skipInstances are at most ${MOST_SKIPPED} ids of instances, as status() lists them.`,
          )
        if (skipInstances.length > 0 && !reason) throw new TypeError('To skip instances takes a reason.')
        return { epoch: await commands.promote(kekId, skipInstances, options, next) }
      }),
    reactivate: (kekId, options = {}) =>
      onKek(kekId, options, async (next) => ({ epoch: await commands.reactivate(kekId, options, next) })),
    suspend: (kekId, options = {}) =>
      onKek(kekId, options, async (next) => ({ epoch: await commands.suspend(kekId, options, next) })),
    resume: (kekId, options = {}) =>
      onKek(kekId, options, async (next) => ({ epoch: await commands.resume(kekId, options, next) })),
    retire: (kekId, options = {}) =>
      onKek(kekId, options, (next) => {
        const { acceptAdvisory, acceptLossOfBackups, minEpoch } = options
        checkReason('acceptAdvisory', acceptAdvisory)
        checkReason('acceptLossOfBackups', acceptLossOfBackups)
        checkEpoch('minEpoch', minEpoch)
        const accepted = {
          ...(acceptAdvisory === undefined ? {} : { advisory: acceptAdvisory }),
          ...(acceptLossOfBackups === undefined ? {} : { lossOfBackups: acceptLossOfBackups }),
          ...(minEpoch === undefined ? {} : { minEpoch }),
        }
        return commands.retire(kekId, accepted, options, next)
      }),
    markCompromised: (kekId, options = {}) =>
      onKek(kekId, options, async (next) => ({
        epoch: await commands.markCompromised(kekId, options, next),
      })),
    recordEscrow: (sealed, options = {}) =>
      run(options, async (next) => ({
        epoch: await commands.recordEscrow(inspectSealedKek(sealed), options, next),
      })),
  }
}

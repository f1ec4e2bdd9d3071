import type { KekCommandOptions, SecretVault } from '@talos/envelope'
import type { z } from 'zod'
import type { AdminRequest, AdminResponse } from '../exchange.ts'
import { Problem } from '../problem.ts'
import { kekId } from '../schemas/fields.ts'
import type { KekCommandBody, PromoteKekBody, RetireKekBody, retirementQuery } from '../schemas/keks.ts'
import { auditNotes, orRefuse } from './refuse.ts'

/** Makes the handler of `POST /keks/:id/promote`. */
export function promoteKek(vault: SecretVault) {
  return async (request: AdminRequest<PromoteKekBody>): Promise<AdminResponse> => {
    const { skip_instances: skipInstances } = request.body ?? {}
    const options = { ...commandOptions(request), ...(skipInstances === undefined ? {} : { skipInstances }) }
    return changed(await vault.keks.promote(kekOf(request), options))
  }
}

/** Makes the handler of `POST /keks/:id/suspend`. */
export function suspendKek(vault: SecretVault) {
  return async (request: AdminRequest<KekCommandBody>): Promise<AdminResponse> =>
    changed(await vault.keks.suspend(kekOf(request), commandOptions(request)))
}

/** Makes the handler of `POST /keks/:id/resume`. */
export function resumeKek(vault: SecretVault) {
  return async (request: AdminRequest<KekCommandBody>): Promise<AdminResponse> =>
    changed(await vault.keks.resume(kekOf(request), commandOptions(request)))
}

/** Makes the handler of `POST /keks/:id/retire`: the gate decides, here and now. */
export function retireKek(vault: SecretVault) {
  return async (request: AdminRequest<RetireKekBody>): Promise<AdminResponse> => {
    const { accept_advisory: acceptAdvisory, ...given } = request.body ?? {}
    const options = {
      ...commandOptions(request),
      ...claimsOf(given),
      ...(acceptAdvisory === undefined ? {} : { acceptAdvisory }),
    }
    const certificate = await orRefuse('INVALID_BODY', () => vault.keks.retire(kekOf(request), options))
    return { status: 200, body: { ...certificate } }
  }
}

/** Makes the handler of `GET /keks/:id/retirement`. */
export function checkRetirement(vault: SecretVault) {
  return async (request: AdminRequest<unknown, z.infer<typeof retirementQuery>>): Promise<AdminResponse> => {
    const certificate = await orRefuse('INVALID_QUERY', () =>
      vault.keks.checkRetirement(kekOf(request), claimsOf(request.query)),
    )
    return { status: 200, body: { ...certificate } }
  }
}

function kekOf({ params }: { readonly params: Readonly<Record<string, string>> }): string {
  const id = params['id'] ?? ''
  if (!kekId.safeParse(id).success) throw new Problem('KEK_NOT_FOUND')
  return id
}

function commandOptions(
  request: AdminRequest<{ readonly reason?: string | undefined } | undefined>,
): KekCommandOptions {
  const { actor, body, expectedEpoch } = request
  return { ...auditNotes(actor, body?.reason), ...(expectedEpoch === null ? {} : { expectedEpoch }) }
}

function claimsOf(given: {
  readonly min_epoch?: number | undefined
  readonly accept_loss_of_backups?: string | undefined
}): { readonly minEpoch?: number; readonly acceptLossOfBackups?: string } {
  const { min_epoch: minEpoch, accept_loss_of_backups: acceptLossOfBackups } = given
  return {
    ...(minEpoch === undefined ? {} : { minEpoch }),
    ...(acceptLossOfBackups === undefined ? {} : { acceptLossOfBackups }),
  }
}

function changed({ epoch }: { readonly epoch: number }): AdminResponse {
  return { status: 200, headers: { ETag: `"${epoch}"` }, body: { epoch } }
}

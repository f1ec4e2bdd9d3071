import { isEnvelopeError, type SecretVault } from '@talos/envelope'
import type { AdminRequest, AdminResponse } from '../exchange.ts'
import { Problem } from '../problem.ts'
import type { RotationActionAccepted, RotationActionBody } from '../schemas/rotations.ts'
import { auditNotes } from './refuse.ts'
import { type LinkTo, operationOf } from './rotation.ts'

/** What can be done to an operation. */
export type RotationVerb = 'pause' | 'resume' | 'cancel' | 'retryFailed'

/** Makes the handler of `POST /rotations/:op_id/{pause,resume,cancel,retry-failed}`. */
export function changeRotation(vault: SecretVault, verb: RotationVerb, linkTo: LinkTo) {
  return async ({ params, body, actor }: AdminRequest<RotationActionBody>): Promise<AdminResponse> => {
    const id = operationOf(params)
    const notes = auditNotes(actor, body?.reason)
    const operation = await vault.rotations[verb](id, notes).catch(async (error: unknown) => {
      if (!isEnvelopeError(error) || error.code !== 'ERR_ROTATION_STATE') throw error
      const status = (await vault.rotations.get(id))?.status
      throw new Problem('ROTATION_STATE', { cause: error, members: { op_id: id, op_status: status } })
    })
    const accepted: RotationActionAccepted = {
      op_id: operation.id,
      status: operation.status,
      status_url: linkTo(`rotation-status/${operation.id}`, 3),
    }
    return { status: 202, headers: { Location: accepted.status_url }, body: accepted }
  }
}

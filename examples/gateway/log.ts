import type { VaultEvent } from '@talos/envelope'
import type { AdminEvent } from '@talos/envelope-express'
import type { ErrorRequestHandler } from 'express'

/** What the vault does in the background. Its messages name ids, never keys or values. */
export function logVault(event: VaultEvent): void {
  switch (event.type) {
    case 'readiness':
      if (event.ready) console.log('ready')
      for (const message of event.messages) console.error(`not ready: ${message}`)
      break
    case 'promoted':
      console.log(`KEK ${event.kekId} is current, ${event.formerKekId} only decrypts (epoch ${event.epoch})`)
      break
    case 'promotion_waiting':
      console.log(`the promotion of KEK ${event.kekId} waits for ${event.instances} other instances`)
      break
    case 'fault':
      console.error(`${event.during}: ${event.code}: ${event.message}`)
      break
    case 'rotation':
      // Operators follow a rotation by its status; while it runs, here it would be a line for every batch.
      if (event.status !== 'running') console.log(`rotation ${event.operationId} is ${event.status}`)
      break
    case 'quarantined':
      console.error(`rotation ${event.operationId} could not re-wrap a secret: ${event.reason}`)
      break
  }
}

/** What went wrong in the admin API. */
export function logAdmin(event: AdminEvent): void {
  if (event.type === 'body_already_parsed') console.error(event.message)
  else console.error(`${event.operation}: ${event.code}: ${messageOf(event.error)}`)
}

/** In place of Express's own answer, which shows a stack outside of production. */
export const answerError: ErrorRequestHandler = (error, request, response, next) => {
  const status: number = error?.status ?? 500
  if (status >= 500) console.error(`${request.method} ${request.path}: ${messageOf(error)}`)
  if (response.headersSent) next(error)
  else response.status(status).json({ error: { message: status < 500 ? 'Bad request.' : 'Internal error.' } })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown error'
}

import type { ProblemCode } from './problem.ts'

/** What the router tells its host: codes and errors, never content. */
export type AdminEvent =
  | {
      /** The host parses bodies before the router, which then cannot see members that came twice. Sent once. */
      readonly type: 'body_already_parsed'
      readonly message: string
    }
  | {
      /** A request was answered with a status from 500 on. */
      readonly type: 'request_failed'
      /** The route, by the name that `authorize` knows it by. */
      readonly operation: string
      readonly status: number
      readonly code: ProblemCode
      /** What was thrown. For logs: the client sees nothing of it. */
      readonly error: unknown
    }

/** Hears events. What it throws is dropped: telemetry never changes an answer. */
export type AdminEventListener = (event: AdminEvent) => void

/** Sends events to the host's listener; without one only the warning is shown, as a warning of the process. */
export class EventOutlet {
  readonly #listener: AdminEventListener
  #warnedOfParsedBody = false

  constructor(listener: AdminEventListener = showWarning) {
    this.#listener = listener
  }

  send(event: AdminEvent): void {
    try {
      this.#listener(event)
    } catch {
      // Dropped, see AdminEventListener.
    }
  }

  warnOfParsedBody(): void {
    if (this.#warnedOfParsedBody) return
    this.#warnedOfParsedBody = true
    this.send({
      type: 'body_already_parsed',
      message:
        'Bodies are parsed before they reach the admin router. Mount the router before express.json().',
    })
  }
}

function showWarning(event: AdminEvent): void {
  if (event.type === 'body_already_parsed')
    process.emitWarning(event.message, { code: 'TALOS_BODY_ALREADY_PARSED' })
}

import { LifecycleError } from '../errors.ts'
import type { RetirementCertificate } from './retirement/certificate.ts'

/** A KEK cannot become current, with everything that stands in the way. */
export function blockedFor(kekId: string, reasons: readonly string[]): LifecycleError {
  const message = `KEK "${kekId}" cannot become current now. ${reasons.join(' ')} Nothing was changed.`
  return new LifecycleError('ERR_PROMOTION_BLOCKED', message, { reasons })
}

/** A KEK that others may know is not made current again. */
export function compromised(kekId: string): LifecycleError {
  return new LifecycleError(
    'ERR_KEK_COMPROMISED',
    `KEK "${kekId}" is marked compromised and never becomes current again. Generate a new KEK. Nothing was changed.`,
  )
}

/** The gate has found a clause that does not hold. */
export function notSafe(kekId: string, { reasons }: RetirementCertificate): LifecycleError {
  const messages = reasons.map(({ message }) => message)
  const message = `KEK "${kekId}" was not retired. ${messages.join(' ')} Nothing was changed.`
  return new LifecycleError('ERR_NOT_SAFE_TO_RETIRE', message, { reasons: messages })
}

/** Suspending a KEK would make secrets unreadable. */
export function stillUsed(kekId: string, records: number): LifecycleError {
  const many = records === 1 ? '1 secret is' : `${records} secrets are`
  const why = `${many} under it and could not be read any more. Rotate first`
  const message = `KEK "${kekId}" was not suspended: ${why}. Nothing was changed.`
  return new LifecycleError('ERR_TRANSITION_REFUSED', message, { reasons: [why] })
}

/** There is a document, so none is made anew. */
export function nothingLost(): LifecycleError {
  const why = 'There is a keyring document: nothing is lost that would have to be made anew.'
  return new LifecycleError('ERR_ADOPTION_REFUSED', `${why} Nothing was changed.`, { reasons: [why] })
}

/** Others were faster, each time. */
export function unsteady(): LifecycleError {
  return new LifecycleError(
    'ERR_EPOCH_CHANGED',
    'Others changed the keyring document each time before this command could. Repeat it. Nothing was changed.',
    { retryable: true },
  )
}

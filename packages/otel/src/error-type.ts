import { isEnvelopeError } from '@talos/envelope'

/** What the semantic conventions say for an error without a name of its own. */
export const OTHER_ERROR = '_OTHER'

/** What `error.type` says of an error. Never its message, nor a name that somebody else gave it. */
export function errorTypeOf(error: unknown): string {
  if (isEnvelopeError(error)) return error.code
  return error instanceof TypeError ? 'TypeError' : OTHER_ERROR
}

import { ERROR_CODES, FormatError } from '../errors.ts'
import { parseEnvelope, type Suite } from '../format/envelope-v2.ts'

/** What an envelope says about itself. Nothing of it is verified: that takes the KEK and the context. */
export interface EnvelopeHeader {
  readonly version: 'v2'
  readonly suite: Suite
  readonly kekId: string
  /** 16 lowercase hexadecimal digits that tell the KEK from another one with the same id. */
  readonly fingerprint: string
  /** Length of the sealed bytes: 28 more than the value's. */
  readonly sealedBytes: number
}

/**
 * Reads what an envelope says about itself, without keys.
 *
 * @param envelope - The envelope's text.
 * @returns The header.
 * @throws FormatError `ERR_ENVELOPE_MALFORMED` when the text is not an envelope of a supported version;
 * `reason` names the check that failed.
 * @throws TypeError when the envelope is not text.
 */
export function peek(envelope: string): EnvelopeHeader {
  checkEnvelopeType(envelope)
  const parsed = parseEnvelope(envelope)
  if ('fault' in parsed) {
    throw new FormatError('ERR_ENVELOPE_MALFORMED', ERROR_CODES.ERR_ENVELOPE_MALFORMED, {
      reason: parsed.fault,
    })
  }
  const { suite, kekId, fingerprint } = parsed.fields
  return { version: 'v2', suite, kekId, fingerprint, sealedBytes: parsed.sealed.length }
}

/**
 * Refuses what is not text.
 *
 * @param envelope - What a caller gave as an envelope.
 * @throws TypeError
 */
export function checkEnvelopeType(envelope: unknown): asserts envelope is string {
  if (typeof envelope !== 'string') throw new TypeError('An envelope must be text.')
}

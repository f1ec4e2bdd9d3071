import { open } from '../crypto/aead.ts'
import { equalConstantTime } from '../crypto/digest.ts'
import { DecryptError, FormatError } from '../errors.ts'
import { isKekId } from '../format/envelope-v2.ts'
import { parseTalosV1, type TalosV1Envelope } from '../format/talos-v1.ts'
import type { CheckedImportKey } from '../keyring/import-keys.ts'
import { checkEnvelopeType } from './peek.ts'

/**
 * Reads a Talos v1 envelope.
 *
 * @param text - The envelope's JSON.
 * @returns The envelope.
 * @throws FormatError `ERR_ENVELOPE_MALFORMED`; the message names the rule and holds nothing of the text.
 * @throws TypeError when it is not text.
 */
export function readTalosV1(text: string): TalosV1Envelope {
  checkEnvelopeType(text)
  const parsed = parseTalosV1(text)
  if ('fault' in parsed) {
    const message = `The text is not a Talos v1 envelope: ${parsed.rule}.`
    throw new FormatError('ERR_ENVELOPE_MALFORMED', message, { reason: parsed.fault })
  }
  return parsed
}

/**
 * Opens a Talos v1 envelope: AES-256-GCM directly under the key that it names.
 *
 * @param envelope - The envelope.
 * @param keys - Keys with their AAD. The one of the envelope's id is taken; no other one is ever tried.
 * @returns The value, in memory of its own; clear it after use.
 * @throws DecryptError `ERR_DECRYPT_FAILED`: `kek_unknown`, `aad_mismatch` (the AAD in the envelope is not the key's), or
 * `payload_corrupt` (other key bytes, another AAD, or altered: v1 cannot tell these apart).
 */
export function openTalosV1(envelope: TalosV1Envelope, keys: readonly CheckedImportKey[]): Uint8Array {
  const { kekId, sealed } = envelope
  const found = keys.find((key) => key.kekId === kekId)
  // An id that nobody but the envelope has spelt may be anything: it is shown only where it has the form of an id.
  if (found === undefined) throw new DecryptError('kek_unknown', isKekId(kekId) ? kekId : null)
  if (envelope.aad !== null && !equalConstantTime(envelope.aad, found.aad)) {
    throw new DecryptError('aad_mismatch', kekId)
  }
  const value = open(found.key, found.aad, sealed)
  if (value === null) throw new DecryptError('payload_corrupt', kekId)
  return value
}

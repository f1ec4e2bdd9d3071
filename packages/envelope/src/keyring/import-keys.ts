import { utf8 } from '../bytes.ts'
import { KEY_BYTES } from '../crypto/random.ts'
import { KeyError, type KeyFault } from '../errors.ts'
import { isTalosV1KekId } from '../format/talos-v1.ts'
import { fingerprintOf } from './kek.ts'
import { weaknessOf } from './kek-text.ts'

/** A key of the older system that values are imported from. It is no KEK and never becomes one. */
export interface ImportKey {
  /** The `kek_id` of the envelopes under it: 1 to 255 characters. It may equal the id of a KEK with other bytes. */
  readonly kekId: string
  /** The 32 bytes that encrypted the values. They are read before the call returns its promise, and never kept. */
  readonly key: Uint8Array
  /**
   * The AAD of the envelope: `talos.secret.v1:<secret id>`, or the secret's name in older rows; empty where it was made
   * without. Build it from where the row was found and never from the envelope: it is what tells a swapped row.
   */
  readonly aad: string | Uint8Array
}

/** An {@link ImportKey} that has been checked. */
export interface CheckedImportKey {
  readonly kekId: string
  readonly key: Uint8Array
  readonly aad: Uint8Array
  /** The fingerprint that a KEK of the same bytes has. */
  readonly fingerprint: string
}

/**
 * Checks the keys of an import.
 *
 * @param keys - What the caller gave.
 * @param allowWeak - Whether keys that cannot have been drawn at random are taken.
 * @returns The keys; the bytes are still the caller's.
 * @throws TypeError when something is not of its type, or an id comes twice.
 * @throws KeyError `ERR_KEY_CONFIGURATION` with all `faults`, none of which holds an id or bytes.
 */
export function checkImportKeys(keys: readonly ImportKey[], allowWeak: boolean): readonly CheckedImportKey[] {
  if (!Array.isArray(keys) || keys.length === 0)
    throw new TypeError('keys is an array of { kekId, key, aad }.')
  const given = (keys as readonly ImportKey[]).map(checkTypes)
  if (new Set(given.map(({ kekId }) => kekId)).size < given.length) {
    throw new TypeError('Each kekId comes once in keys: one key with one AAD is tried, never several.')
  }
  const faults = given.flatMap(({ key }, index): KeyFault[] => {
    const fault = faultOf(key, allowWeak)
    return fault === null ? [] : [{ variable: `keys[${index}].key`, fault }]
  })
  if (faults.length > 0) throw unfit(faults)
  return given.map((each) => ({ ...each, fingerprint: fingerprintOf(each.key) }))
}

function checkTypes(given: ImportKey): Omit<CheckedImportKey, 'fingerprint'> {
  if (typeof given !== 'object' || given === null)
    throw new TypeError('An import key is { kekId, key, aad }.')
  const { kekId, key, aad } = given
  if (typeof kekId !== 'string' || !isTalosV1KekId(kekId)) {
    throw new TypeError('The kekId of an import key is well-formed text of 1 to 255 characters.')
  }
  if (!(key instanceof Uint8Array))
    throw new TypeError('The key of an import key is a Uint8Array of 32 bytes.')
  if (typeof aad !== 'string' && !(aad instanceof Uint8Array)) {
    throw new TypeError(
      'The aad of an import key is text or a Uint8Array; empty for an envelope made without.',
    )
  }
  return { kekId, key, aad: typeof aad === 'string' ? utf8(aad) : aad }
}

function faultOf(key: Uint8Array, allowWeak: boolean): string | null {
  if (key.length !== KEY_BYTES) return `has ${key.length} bytes: AES-256 takes ${KEY_BYTES}`
  const weakness = allowWeak ? null : weaknessOf(key)
  return weakness === null
    ? null
    : `${weakness}. If it really is the key of these envelopes, give insecureAllowWeakKey`
}

function unfit(faults: readonly KeyFault[]): KeyError {
  const lines = faults.map(({ variable, fault }) => `\n- ${variable} ${fault}`)
  const message = `A key given to import is unfit; nothing was opened or written:${lines.join('')}`
  return new KeyError('ERR_KEY_CONFIGURATION', message, { faults })
}

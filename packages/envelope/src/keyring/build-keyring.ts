import { equalConstantTime } from '../crypto/digest.ts'
import { SecretBytes } from '../crypto/secret-bytes.ts'
import { KeyError, type KeyFault } from '../errors.ts'
import { createKek, type Kek, passesSelfTest } from './kek.ts'
import type { Unreadable } from './kek-file.ts'
import {
  faultOfId,
  faultOfReference,
  hasShapeOfId,
  isReserved,
  nameOfPlace,
  type Place,
} from './kek-place.ts'
import { kekByteFaults, readKekText } from './kek-text.ts'
import { type KeyProvider, keyNameFaults } from './key-provider.ts'
import { createKeyring, type Keyring } from './keyring.ts'
import { createRemoteKek } from './remote-kek.ts'

/** One KEK as a key source found it. */
export interface ConfiguredKek {
  /** The id as written; it may be no KEK id. */
  readonly id: string
  readonly place: Place
  /** The bytes, a text that is still to be read, the provider of the key, or what kept the key source from it. */
  readonly value: SecretBytes | string | KeyProvider | Unreadable
}

/** Everything a key source found, and what it calls the places where it found it. */
export interface KeyConfiguration {
  readonly keks: readonly ConfiguredKek[]
  /** Faults of places that hold no KEK of their own, such as a directory. */
  readonly faults?: readonly KeyFault[]
  /** The id named as current, or what kept the key source from it; `undefined` when none is. */
  readonly currentKekId: string | Unreadable | undefined
  readonly decryptOnlyKekIds: readonly string[]
  readonly labels: {
    /** The place where a KEK would be, such as `TALOS_KEK_<id>`. */
    readonly kek: string
    readonly current: string
    readonly decryptOnly: string
  }
}

interface CheckedKek {
  readonly id: string
  readonly variable: string
  readonly value: SecretBytes | KeyProvider
}

/**
 * Makes a keyring, or reports every fault of a configuration at once: who corrects one of them should not
 * find the next one with the next restart.
 *
 * @param configuration - What the key source found.
 * @returns The keyring. Each local KEK in it has passed its self-test; no key provider was asked anything.
 * @throws KeyError `ERR_KEY_CONFIGURATION` with all `faults`. They name places and ids, never a value: an id
 * is shown only where it has the form of one, because what stands in its place may be a key.
 */
export function buildKeyring(configuration: KeyConfiguration): Keyring {
  const faults: KeyFault[] = [...(configuration.faults ?? [])]
  const checked = checkKeks(configuration, faults)
  checkSameKeys(checked, faults)
  checkReferences(configuration, faults)
  const keks = checked.map((entry) => loadKek(entry, faults))
  for (const { value } of checked) if (value instanceof SecretBytes) value.clear()
  if (faults.length > 0) throw configurationError(faults)
  const { currentKekId } = configuration
  return createKeyring(
    keks,
    typeof currentKekId === 'string' ? currentKekId : '',
    configuration.decryptOnlyKekIds,
  )
}

/**
 * Makes the error of a misconfigured key source.
 *
 * @param faults - At least one.
 * @returns The error; its message has one line per fault.
 */
export function configurationError(faults: readonly KeyFault[]): KeyError {
  const lines = faults.map(({ variable, fault }) => `\n- ${variable} ${fault}`)
  const count = faults.length === 1 ? '1 fault' : `${faults.length} faults`
  return new KeyError(
    'ERR_KEY_CONFIGURATION',
    `The key source is misconfigured (${count}):${lines.join('')}`,
    {
      faults,
    },
  )
}

function checkKeks(configuration: KeyConfiguration, faults: KeyFault[]): CheckedKek[] {
  const { keks, labels } = configuration
  const ids = new Set(keks.map(({ id }) => id))
  if (keks.length === 0 && faults.length === 0) {
    faults.push({ variable: labels.kek, fault: 'is missing: no KEK is configured' })
  }
  const variables = new Map<string, string>()
  const checked: CheckedKek[] = []
  for (const { id, place, value } of keks) {
    const variable = nameOfPlace(place, hasShapeOfId(id) ? id : '<id>')
    const idFault = faultOfId(id, place, ids)
    if (idFault !== null) faults.push({ variable, fault: idFault })
    // What stands there is a path, and everything to say about it as a key would mislead.
    if (isReserved(id)) continue
    const read = typeof value === 'string' ? readKekText(value) : value
    const valueFaults = faultsOfValue(read)
    for (const fault of valueFaults) faults.push({ variable, fault })
    const first = variables.get(id)
    if (first !== undefined) {
      faults.push({ variable, fault: `gives KEK ${id} a second time, after ${first}: keep one of them` })
    }
    if (idFault === null) variables.set(id, first ?? variable)
    if ('faults' in read) continue
    if (idFault === null && first === undefined && valueFaults.length === 0) {
      checked.push({ id, variable, value: read })
    } else if (read instanceof SecretBytes) {
      read.clear()
    }
  }
  return checked
}

function faultsOfValue(value: SecretBytes | KeyProvider | Unreadable): readonly string[] {
  if (value instanceof SecretBytes) return value.use(kekByteFaults)
  return 'faults' in value ? value.faults : keyNameFaults(value)
}

function checkSameKeys(checked: readonly CheckedKek[], faults: KeyFault[]): void {
  for (const [index, { variable, value }] of checked.entries()) {
    const twin = checked.slice(0, index).find((other) => isSameKey(value, other.value))
    if (twin === undefined) continue
    const what = value instanceof SecretBytes ? 'holds the same bytes' : 'names the same key'
    faults.push({ variable, fault: `${what} as ${twin.variable}: each id needs a key of its own` })
  }
}

function isSameKey(left: CheckedKek['value'], right: CheckedKek['value']): boolean {
  if (left instanceof SecretBytes) {
    if (!(right instanceof SecretBytes)) return false
    return left.use((bytes) => right.use((others) => equalConstantTime(bytes, others)))
  }
  return !(right instanceof SecretBytes) && left.provider === right.provider && left.key === right.key
}

function checkReferences(configuration: KeyConfiguration, faults: KeyFault[]): void {
  const { currentKekId, decryptOnlyKekIds, labels } = configuration
  // An id that is only spelt or filled wrongly has its own fault; it is not missing as well.
  const known = new Set(configuration.keks.map(({ id }) => id.toLowerCase()))
  // Where a place with any number of KEKs could not be read, every id may be in it.
  const isKnown = (id: string): boolean => known.has(id) || (configuration.faults ?? []).length > 0
  if (currentKekId === undefined) {
    faults.push({ variable: labels.current, fault: 'is missing: name the id of the KEK to wrap under' })
  } else if (typeof currentKekId !== 'string') {
    for (const fault of currentKekId.faults) faults.push({ variable: labels.current, fault })
  } else {
    const fault = faultOfReference(currentKekId, 'names', isKnown)
    if (fault !== null) faults.push({ variable: labels.current, fault })
  }
  for (const id of decryptOnlyKekIds) {
    const fault = faultOfReference(id, 'lists', isKnown)
    if (fault !== null) faults.push({ variable: labels.decryptOnly, fault })
    else if (id === currentKekId) {
      faults.push({
        variable: labels.decryptOnly,
        fault: `lists ${id}, which ${labels.current} names: a decrypt-only KEK is never wrapped under`,
      })
    }
  }
}

function loadKek({ id, variable, value }: CheckedKek, faults: KeyFault[]): Kek {
  if (!(value instanceof SecretBytes)) return createRemoteKek(id, value)
  const kek = value.use((keyBytes) => createKek(id, keyBytes))
  if (!passesSelfTest(kek)) {
    faults.push({ variable, fault: 'failed its self-test: a fresh key that it wrapped did not come back' })
  }
  return kek
}

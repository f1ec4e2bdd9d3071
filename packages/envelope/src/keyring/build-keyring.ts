import { equalConstantTime } from '../crypto/digest.ts'
import { SecretBytes } from '../crypto/secret-bytes.ts'
import { KeyError, type KeyFault } from '../errors.ts'
import { isKekId } from '../format/envelope-v2.ts'
import { createKek, type Kek, passesSelfTest } from './kek.ts'
import type { Unreadable } from './kek-file.ts'
import { kekByteFaults, readKekText } from './kek-text.ts'
import { createKeyring, type Keyring } from './keyring.ts'

/** One KEK as a key source found it. */
export interface ConfiguredKek {
  /** The id as written; it may be no KEK id. */
  readonly id: string
  /** What the place it was found in is called, around the id: `TALOS_KEK_` and, for the name of a file, `_FILE`. */
  readonly place: Place
  /** The bytes, a text that is still to be read, or what kept the key source from it. */
  readonly value: SecretBytes | string | Unreadable
}

interface Place {
  readonly before: string
  readonly after: string
}

/** Everything a key source found, and what it calls the places where it found it. */
export interface KeyConfiguration {
  readonly keks: readonly ConfiguredKek[]
  /** Faults of places that hold no KEK of their own, such as a directory. */
  readonly faults?: readonly KeyFault[]
  /** The id named as current; `undefined` when none is. */
  readonly currentKekId: string | undefined
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
  readonly bytes: SecretBytes
}

/**
 * Makes a keyring, or reports every fault of a configuration at once: who corrects one of them should not
 * find the next one with the next restart.
 *
 * @param configuration - What the key source found.
 * @returns The keyring. Each KEK in it has passed its self-test.
 * @throws KeyError `ERR_KEY_CONFIGURATION` with all `faults`. They name places and ids, never a value: an id
 * is shown only where it has the form of one, because what stands in its place may be a key.
 */
export function buildKeyring(configuration: KeyConfiguration): Keyring {
  const faults: KeyFault[] = [...(configuration.faults ?? [])]
  const checked = checkKeks(configuration, faults)
  checkSameBytes(checked, faults)
  checkReferences(configuration, faults)
  const keks = checked.map((entry) => loadKek(entry, faults))
  for (const { bytes } of checked) bytes.clear()
  if (faults.length > 0) throw configurationError(faults)
  return createKeyring(keks, configuration.currentKekId ?? '', configuration.decryptOnlyKekIds)
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
    const valueFaults = read instanceof SecretBytes ? read.use(kekByteFaults) : read.faults
    for (const fault of valueFaults) faults.push({ variable, fault })
    const first = variables.get(id)
    if (first !== undefined) {
      faults.push({ variable, fault: `gives KEK ${id} a second time, after ${first}: keep one of them` })
    }
    if (idFault === null) variables.set(id, first ?? variable)
    if (!(read instanceof SecretBytes)) continue
    if (idFault === null && first === undefined && valueFaults.length === 0) {
      checked.push({ id, variable, bytes: read })
    } else {
      read.clear()
    }
  }
  return checked
}

function nameOfPlace({ before, after }: Place, id: string): string {
  return before + id + after
}

/**
 * Whether a text could be meant as an id, so that it can be shown. A KEK has 43 characters and never could.
 */
function hasShapeOfId(text: string): boolean {
  return isKekId(text.toLowerCase().replace(/_file$/, ''))
}

function isReserved(id: string): boolean {
  return id.toLowerCase().endsWith('_file')
}

function faultOfId(id: string, place: Place, ids: ReadonlySet<string>): string | null {
  if (isKekId(id)) return null
  if (isReserved(id)) {
    return 'has an id that ends in _file: such ids are reserved. The name of a variable with a path ends in _FILE'
  }
  if (!hasShapeOfId(id)) {
    return (
      `has an id of ${id.length} characters that is no KEK id, so it is not shown: ` +
      'ids are 1 to 32 of a-z, 0-9, - and _ and begin with a letter or digit'
    )
  }
  const lowerCase = id.toLowerCase()
  const spelling = nameOfPlace(place, lowerCase)
  return ids.has(lowerCase)
    ? `has an id that differs from ${spelling} in case only: keep one of them, in lower case`
    : `has an upper-case id: spell it ${spelling}`
}

function checkSameBytes(checked: readonly CheckedKek[], faults: KeyFault[]): void {
  for (const [index, { variable, bytes }] of checked.entries()) {
    const twin = checked
      .slice(0, index)
      .find((other) => bytes.use((left) => other.bytes.use((right) => equalConstantTime(left, right))))
    if (twin !== undefined) {
      faults.push({
        variable,
        fault: `holds the same bytes as ${twin.variable}: each id needs a key of its own`,
      })
    }
  }
}

function checkReferences(configuration: KeyConfiguration, faults: KeyFault[]): void {
  const { currentKekId, decryptOnlyKekIds, labels } = configuration
  // An id that is only spelt or filled wrongly has its own fault; it is not missing as well.
  const known = new Set(configuration.keks.map(({ id }) => id.toLowerCase()))
  // Where a place with any number of KEKs could not be read, every id may be in it.
  const isKnown = (id: string): boolean => known.has(id) || (configuration.faults ?? []).length > 0
  if (currentKekId === undefined) {
    faults.push({ variable: labels.current, fault: 'is missing: name the id of the KEK to wrap under' })
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

function faultOfReference(
  id: string,
  verb: 'names' | 'lists',
  isKnown: (id: string) => boolean,
): string | null {
  if (id === '')
    return verb === 'names' ? 'is empty: name the id of the KEK to wrap under' : 'lists an empty id'
  if (id.trim() !== id) return `${verb} an id with white space around it: remove it`
  if (isKekId(id)) return isKnown(id) ? null : `${verb} ${id}, which is not among the configured KEKs`
  const lowerCase = id.toLowerCase()
  if (isKekId(lowerCase)) return `${verb} an upper-case id: spell it ${lowerCase}`
  return `${verb} a text of ${id.length} characters that is no KEK id, so it is not shown`
}

function loadKek({ id, variable, bytes }: CheckedKek, faults: KeyFault[]): Kek {
  const kek = bytes.use((keyBytes) => createKek(id, keyBytes))
  if (!passesSelfTest(kek)) {
    faults.push({ variable, fault: 'failed its self-test: a fresh key that it wrapped did not come back' })
  }
  return kek
}

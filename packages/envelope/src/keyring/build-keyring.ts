import { equalConstantTime } from '../crypto/digest.ts'
import type { SecretBytes } from '../crypto/secret-bytes.ts'
import { KeyError, type KeyFault } from '../errors.ts'
import { isKekId } from '../format/envelope-v2.ts'
import { createKek, type Kek, passesSelfTest } from './kek.ts'
import { kekByteFaults, readKekText } from './kek-text.ts'
import { createKeyring, type Keyring } from './keyring.ts'

/** One KEK as a key source found it. */
export interface ConfiguredKek {
  /** The id as written; it may be no KEK id. */
  readonly id: string
  /** The bytes, or a text that is still to be read. */
  readonly value: SecretBytes | string
}

/** Everything a key source found, and what it calls the places where it found it. */
export interface KeyConfiguration {
  readonly keks: readonly ConfiguredKek[]
  /** The id named as current; `undefined` when none is. */
  readonly currentKekId: string | undefined
  readonly decryptOnlyKekIds: readonly string[]
  readonly labels: {
    /** What comes before the id of a KEK in its place's name, such as `TALOS_KEK_`. */
    readonly kekPrefix: string
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
  const faults: KeyFault[] = []
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
  if (keks.length === 0) {
    faults.push({ variable: `${labels.kekPrefix}<id>`, fault: 'is missing: no KEK is configured' })
  }
  const checked: CheckedKek[] = []
  for (const { id, value } of keks) {
    const variable = labels.kekPrefix + (hasShapeOfId(id) ? id : '<id>')
    const idFault = faultOfId(id, labels.kekPrefix, ids)
    if (idFault !== null) faults.push({ variable, fault: idFault })
    // What stands there is a path, and everything to say about it as a key would mislead.
    if (isReserved(id)) continue
    const read = typeof value === 'string' ? readKekText(value) : value
    const valueFaults = 'use' in read ? read.use(kekByteFaults) : read
    for (const fault of valueFaults) faults.push({ variable, fault })
    if ('use' in read && valueFaults.length === 0) checked.push({ id, variable, bytes: read })
  }
  return checked
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

function faultOfId(id: string, kekPrefix: string, ids: ReadonlySet<string>): string | null {
  if (isKekId(id)) return null
  if (isReserved(id)) return 'has an id that ends in _file: such ids are reserved'
  const lowerCase = id.toLowerCase()
  if (!hasShapeOfId(id)) {
    return (
      `has an id of ${id.length} characters that is no KEK id, so it is not shown: ` +
      'ids are 1 to 32 of a-z, 0-9, - and _ and begin with a letter or digit'
    )
  }
  return ids.has(lowerCase)
    ? `has an id that differs from ${kekPrefix}${lowerCase} in case only: keep one of them, in lower case`
    : `has an upper-case id: spell it ${kekPrefix}${lowerCase}`
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
  if (currentKekId === undefined) {
    faults.push({ variable: labels.current, fault: 'is missing: name the id of the KEK to wrap under' })
  } else {
    const fault = faultOfReference(currentKekId, 'names', known)
    if (fault !== null) faults.push({ variable: labels.current, fault })
  }
  for (const id of decryptOnlyKekIds) {
    const fault = faultOfReference(id, 'lists', known)
    if (fault !== null) faults.push({ variable: labels.decryptOnly, fault })
    else if (id === currentKekId) {
      faults.push({
        variable: labels.decryptOnly,
        fault: `lists ${id}, which ${labels.current} names: a decrypt-only KEK is never wrapped under`,
      })
    }
  }
}

function faultOfReference(id: string, verb: 'names' | 'lists', known: ReadonlySet<string>): string | null {
  if (id === '')
    return verb === 'names' ? 'is empty: name the id of the KEK to wrap under' : 'lists an empty id'
  if (id.trim() !== id) return `${verb} an id with white space around it: remove it`
  if (isKekId(id)) return known.has(id) ? null : `${verb} ${id}, which is not among the configured KEKs`
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

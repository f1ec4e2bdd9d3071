import { opendir, realpath } from 'node:fs/promises'
import type { KeyFault } from '../errors.ts'
import { isKekId } from '../format/envelope-v2.ts'
import { buildKeyring, type ConfiguredKek } from './build-keyring.ts'
import { describeFileError, readKekFile } from './kek-file.ts'
import type { KeySource } from './key-source.ts'
import { configuredRemoteKeks, type RemoteKeks } from './remote-keks.ts'

/** What {@link directoryKeys} is given. */
export interface DirectoryKeysOptions {
  /** A directory with one file for each KEK, such as the mount of a Kubernetes secret. Read at each `load()`. */
  readonly path: string
  /** The id of the KEK to wrap under. */
  readonly currentKekId: string
  /** Ids that are never wrapped under, whatever the store says. @defaultValue none */
  readonly decryptOnlyKekIds?: readonly string[]
  /** KEK id to key provider, for KEKs that never leave one. @defaultValue none */
  readonly remoteKeks?: RemoteKeks
}

/** What a directory of KEKs holds. */
export interface KekDirectory {
  readonly keks: readonly ConfiguredKek[]
  /** What is wrong with the directory itself. */
  readonly faults: readonly KeyFault[]
}

/** Far more KEKs than a service has, and few enough to notice the wrong directory before reading all of it. */
const MOST_FILES = 256

/** A mount may be replaced while it is read; three times in a row it is not. */
const ATTEMPTS = 3

/**
 * Makes a key source of a directory with one file for each KEK. The name of a file is the id, its content 32 bytes as
 * base64url without padding (43 characters), with or without a newline at the end. Hidden files are ignored, as is
 * everything else that begins with a dot: so a Kubernetes secret can be mounted as it is.
 *
 * @param options - The directory, and which of its KEKs is current.
 * @returns The key source. Faults are reported by `load()`, all at once; none holds a path.
 * @throws TypeError when an option is not of its type.
 */
export function directoryKeys(options: DirectoryKeysOptions): KeySource {
  const { path, currentKekId, decryptOnlyKekIds = [] } = options
  if (typeof path !== 'string' || path === '') throw new TypeError('path is the path of a directory.')
  if (typeof currentKekId !== 'string') throw new TypeError('currentKekId must be text.')
  if (!Array.isArray(decryptOnlyKekIds) || decryptOnlyKekIds.some((id) => typeof id !== 'string')) {
    throw new TypeError('decryptOnlyKekIds must be an array of texts.')
  }
  const ids = [...decryptOnlyKekIds]
  const remote = configuredRemoteKeks(options.remoteKeks)
  return {
    async load({ signal } = {}) {
      signal?.throwIfAborted()
      const { keks, faults } = await readKekDirectory(path, 'path')
      signal?.throwIfAborted()
      return buildKeyring({
        keks: [...keks, ...remote],
        faults,
        currentKekId,
        decryptOnlyKekIds: ids,
        labels: { kek: 'path/<id>', current: 'currentKekId', decryptOnly: 'decryptOnlyKekIds' },
      })
    },
  }
}

/**
 * Reads a directory of KEKs.
 *
 * @param path - The directory.
 * @param label - What it is called in faults.
 * @returns Its KEKs, sorted by id, and what is wrong with it.
 */
export async function readKekDirectory(path: string, label: string): Promise<KekDirectory> {
  const fault = (text: string): KekDirectory => ({ keks: [], faults: [{ variable: label, fault: text }] })
  if (path === '') return fault('is empty: give the path of a directory, or unset it')
  try {
    for (let attempt = 1; ; attempt += 1) {
      const snapshot = await snapshotOf(path)
      const found = await readSnapshot(snapshot, label)
      // KEKs of before and after an exchange of the mount must not be mixed.
      if (attempt === ATTEMPTS || (await snapshotOf(path)) === snapshot) {
        return typeof found === 'string' ? fault(found) : { keks: found, faults: [] }
      }
    }
  } catch (error) {
    return fault(describeFileError(error, 'directory'))
  }
}

async function readSnapshot(path: string, label: string): Promise<readonly ConfiguredKek[] | string> {
  try {
    const names = await fileNames(path)
    if (names.length > MOST_FILES) return `holds more than ${MOST_FILES} files: it is no directory of KEKs`
    if (names.length === 0) return 'holds no KEK: one file for each, named by its id'
    return await Promise.all(names.map((name) => readKek(path, name, label)))
  } catch (error) {
    return describeFileError(error, 'directory')
  }
}

/**
 * Where the files are now. Kubernetes mounts a secret as links through `..data`, itself a link to a directory that is
 * never changed: an update points it to another one.
 */
async function snapshotOf(path: string): Promise<string> {
  try {
    return await realpath(`${path}/..data`)
  } catch {
    return await realpath(path)
  }
}

async function fileNames(path: string): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of await opendir(path)) {
    if (!name.startsWith('.')) names.push(name)
    if (names.length > MOST_FILES) break
  }
  return names.sort()
}

async function readKek(directory: string, name: string, label: string): Promise<ConfiguredKek> {
  const place = { before: `${label}/`, after: '' }
  // A file that can be no KEK has its name for a fault; what is in it is nobody's business.
  const value = isKekId(name) ? await readKekFile(`${directory}/${name}`) : { faults: [] }
  return { id: name, place, value }
}

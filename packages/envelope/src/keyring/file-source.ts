import type { KeyError, KeyFault } from '../errors.ts'
import { isKekId } from '../format/envelope-v2.ts'
import { buildKeyring, type ConfiguredKek, configurationError } from './build-keyring.ts'
import { fileNames, MOST_FILES, readAtOnce } from './file-stamp.ts'
import { watchFiles } from './file-watch.ts'
import { describeFileError, readKekFile } from './kek-file.ts'
import type { KeySource } from './key-source.ts'
import { configuredRemoteKeks, type RemoteKeks } from './remote-keks.ts'

/** What {@link directoryKeys} is given. */
export interface DirectoryKeysOptions {
  /** A directory with one file for each KEK, such as the mount of a Kubernetes secret. Read at each `load()`. */
  readonly path: string
  /** The id of the KEK to wrap under. Either this or `currentKekIdFile`. */
  readonly currentKekId?: string
  /**
   * The path of a file that holds that id, with or without a newline at the end: a promotion then takes no restart. In the
   * directory itself its name has to begin with a dot.
   */
  readonly currentKekIdFile?: string
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

/**
 * Makes a key source of a directory with one file for each KEK. The name of a file is the id, its content 32 bytes as
 * base64url without padding (43 characters), with or without a newline at the end. Hidden files are ignored, as is
 * everything else that begins with a dot: so a Kubernetes secret can be mounted as it is. A vault loads it again when it
 * changes.
 *
 * @param options - The directory, and which of its KEKs is current.
 * @returns The key source. Faults are reported by `load()`, all at once; none holds a path.
 * @throws TypeError when an option is not of its type.
 */
export function directoryKeys(options: DirectoryKeysOptions): KeySource {
  const { path, currentKekId, currentKekIdFile, decryptOnlyKekIds = [] } = options
  if (typeof path !== 'string' || path === '') throw new TypeError('path is the path of a directory.')
  const named = currentKekId ?? currentKekIdFile
  if (typeof named !== 'string' || (currentKekId !== undefined && currentKekIdFile !== undefined)) {
    throw new TypeError('Either currentKekId or currentKekIdFile is text.')
  }
  if (!Array.isArray(decryptOnlyKekIds) || decryptOnlyKekIds.some((id) => typeof id !== 'string')) {
    throw new TypeError('decryptOnlyKekIds must be an array of texts.')
  }
  const ids = [...decryptOnlyKekIds]
  const remote = configuredRemoteKeks(options.remoteKeks)
  const paths = currentKekIdFile === undefined ? [path] : [path, currentKekIdFile]
  return {
    async load({ signal } = {}) {
      signal?.throwIfAborted()
      const found = await readAtOnce(paths, async () => ({
        ...(await readKekDirectory(path, 'path')),
        currentKekId:
          currentKekIdFile === undefined ? currentKekId : await readKekFile(currentKekIdFile, 'id'),
      }))
      signal?.throwIfAborted()
      if (found === null) throw unsteady('path')
      return buildKeyring({
        ...found,
        keks: [...found.keks, ...remote],
        decryptOnlyKekIds: ids,
        labels: {
          kek: 'path/<id>',
          current: currentKekIdFile === undefined ? 'currentKekId' : 'currentKekIdFile',
          decryptOnly: 'decryptOnlyKekIds',
        },
      })
    },
    watch: (onChange) => watchFiles(paths, onChange),
  }
}

/**
 * Makes the error of files that do not keep still.
 *
 * @param variable - What they are called in faults.
 */
export function unsteady(variable: string): KeyError {
  return configurationError([{ variable, fault: 'was changed each time it was read: load it again' }])
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
    const names = fileNames(path)
    if (names.length > MOST_FILES)
      return fault(`holds more than ${MOST_FILES} files: it is no directory of KEKs`)
    if (names.length === 0) return fault('holds no KEK: one file for each, named by its id')
    return { keks: await Promise.all(names.map((name) => readKek(path, name, label))), faults: [] }
  } catch (error) {
    return fault(describeFileError(error, 'directory'))
  }
}

async function readKek(directory: string, name: string, label: string): Promise<ConfiguredKek> {
  const place = { before: `${label}/`, after: '' }
  // A file that can be no KEK has its name for a fault; what is in it is nobody's business.
  const value = isKekId(name) ? await readKekFile(`${directory}/${name}`) : { faults: [] }
  return { id: name, place, value }
}

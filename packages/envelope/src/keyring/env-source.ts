import { buildKeyring, type ConfiguredKek, type KeyConfiguration } from './build-keyring.ts'
import { readKekDirectory, unsteady } from './file-source.ts'
import { readAtOnce } from './file-stamp.ts'
import { watchFiles } from './file-watch.ts'
import { readKekFile, type Unreadable } from './kek-file.ts'
import type { KeySource } from './key-source.ts'
import { configuredRemoteKeks, type RemoteKeks } from './remote-keks.ts'

/** Options of {@link environmentKeys}. */
export interface EnvironmentKeysOptions {
  /** What the names of the variables begin with. @defaultValue `'TALOS'` */
  readonly prefix?: string
  /** The variables. @defaultValue `process.env`, read at each `load()` */
  readonly environment?: Environment
  /** KEK id to key provider, for KEKs that never leave one. @defaultValue none */
  readonly remoteKeks?: RemoteKeks
}

type Environment = Readonly<Record<string, string | undefined>>

/** The ending of a variable that names a file. In upper case, so that it is part of no id. */
const FILE = '_FILE'

const EMPTY_PATH: Unreadable = { faults: ['is empty: give the path of a file, or unset it'] }

/**
 * Makes a key source of environment variables:
 *
 * - `TALOS_KEK_<id>`: 32 bytes as base64url without padding (43 characters), one variable for each KEK. Ids
 *   are lower case: `TALOS_KEK_v1`.
 * - `TALOS_KEK_<id>_FILE`: the path of a file that holds the same, with or without a newline at the end.
 * - `TALOS_KEK_DIR`: the path of a directory with one such file for each KEK, named by its id; see
 *   {@link directoryKeys}. It adds to the variables.
 * - `TALOS_CURRENT_KEK_ID`: the id of the KEK to wrap under.
 * - `TALOS_CURRENT_KEK_ID_FILE`: instead, the path of a file that holds it, with or without a newline at the end.
 * - `TALOS_DECRYPT_ONLY_KEK_IDS`: ids that are never wrapped under, separated by commas without spaces.
 *   Optional; empty for none.
 *
 * Any other variable that is set but empty is a fault: it is what remains when a secret was not injected. So is
 * a KEK that is given twice. A vault loads the source again when one of the files or the directory changes.
 *
 * @param options - Another prefix or environment, and KEKs of key providers.
 * @returns The key source. Faults are reported by `load()`, all at once; none holds a value or a path.
 * @throws TypeError when the prefix is not the beginning of a variable's name, or a remote KEK has no key provider.
 */
export function environmentKeys(options: EnvironmentKeysOptions = {}): KeySource {
  const { prefix = 'TALOS', environment = process.env } = options
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(prefix)) {
    throw new TypeError('The prefix of environment variables is made of letters, digits and _.')
  }
  const remote = configuredRemoteKeks(options.remoteKeks)
  return {
    async load({ signal } = {}) {
      signal?.throwIfAborted()
      const read = (): Promise<KeyConfiguration> => readEnvironment(prefix, environment)
      const configuration = await readAtOnce(pathsIn(prefix, environment), read)
      signal?.throwIfAborted()
      if (configuration === null) {
        const hasDirectory = environment[`${prefix}_KEK_DIR`] !== undefined
        throw unsteady(`${prefix}_KEK_${hasDirectory ? 'DIR' : '<id>_FILE'}`)
      }
      return buildKeyring({ ...configuration, keks: [...configuration.keks, ...remote] })
    },
    watch: (onChange) => watchFiles(pathsIn(prefix, environment), onChange),
  }
}

/** The files and directories that variables name. */
function pathsIn(prefix: string, environment: Environment): readonly string[] {
  const isPath = (name: string): boolean =>
    name === `${prefix}_KEK_DIR` ||
    name === `${prefix}_CURRENT_KEK_ID${FILE}` ||
    (name.startsWith(`${prefix}_KEK_`) && name.endsWith(FILE))
  return Object.entries(environment).flatMap(([name, path]) => (isPath(name) && path ? [path] : []))
}

async function readEnvironment(prefix: string, environment: Environment): Promise<KeyConfiguration> {
  const kekPrefix = `${prefix}_KEK_`
  const directoryName = `${kekPrefix}DIR`
  const current = `${prefix}_CURRENT_KEK_ID`
  const decryptOnly = `${prefix}_DECRYPT_ONLY_KEK_IDS`
  const variables = Object.entries(environment).flatMap(([variable, value]) =>
    variable.startsWith(kekPrefix) && variable !== directoryName && value !== undefined
      ? [[variable.slice(kekPrefix.length), value] as const]
      : [],
  )
  variables.sort(([left], [right]) => (left < right ? -1 : 1))
  const path = environment[directoryName]
  const directory =
    path === undefined ? { keks: [], faults: [] } : await readKekDirectory(path, directoryName)
  return {
    keks: [
      ...(await Promise.all(variables.map(([name, value]) => readVariable(kekPrefix, name, value)))),
      ...directory.keks,
    ],
    faults: directory.faults,
    currentKekId: await readCurrent(current, environment),
    // Templates set it blank where there is nothing to list.
    decryptOnlyKekIds: environment[decryptOnly] ? environment[decryptOnly].split(',') : [],
    labels: {
      kek: `${kekPrefix}<id>`,
      current: environment[current + FILE] === undefined ? current : current + FILE,
      decryptOnly,
    },
  }
}

async function readCurrent(name: string, environment: Environment): Promise<string | Unreadable | undefined> {
  const path = environment[name + FILE]
  if (path === undefined) return environment[name]
  if (environment[name] !== undefined) {
    return { faults: [`names the current KEK a second time, after ${name}: keep one of them`] }
  }
  return path === '' ? EMPTY_PATH : await readKekFile(path, 'id')
}

async function readVariable(before: string, name: string, value: string): Promise<ConfiguredKek> {
  if (!name.endsWith(FILE)) return { id: name, place: { before, after: '' }, value }
  const place = { before, after: FILE }
  const id = name.slice(0, -FILE.length)
  return { id, place, value: value === '' ? EMPTY_PATH : await readKekFile(value) }
}

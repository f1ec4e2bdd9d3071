import { opendirSync } from 'node:fs'
import { stat } from 'node:fs/promises'

/** Far more KEKs than a service has, and few enough to notice the wrong directory before reading all of it. */
export const MOST_FILES = 256

/** Files may be replaced while they are read; that many times in a row, with a pause that grows, they are not. */
const ATTEMPTS = 5
const PAUSE_MS = 20

/**
 * Says what is at some paths, as a text that is another one after each change: of a file, of the files of a directory, or of
 * where links lead. An update of a Kubernetes mount is such a change: each file is another one then.
 *
 * @param paths - Files and directories. One that is not there has a stamp, too.
 * @returns The text.
 */
export async function stampOf(paths: readonly string[]): Promise<string> {
  return (await Promise.all(paths.flatMap(filesAt).map(stampOfFile))).join('\n')
}

/**
 * Reads several files as of one moment: KEKs of before and after an exchange must not be mixed.
 *
 * @param paths - What is read.
 * @param read - Reads it.
 * @returns What was read, or `null` when it was changed each time.
 */
export async function readAtOnce<T>(paths: readonly string[], read: () => Promise<T>): Promise<T | null> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const before = await stampOf(paths)
    const found = await read()
    if ((await stampOf(paths)) === before) return found
    await new Promise((resolve) => setTimeout(resolve, attempt * PAUSE_MS))
  }
  return null
}

/**
 * Lists the files of a directory of KEKs. Whatever begins with a dot is none.
 *
 * @param path - The directory.
 * @returns At most one more than {@link MOST_FILES} names, sorted.
 */
export function fileNames(path: string): string[] {
  const names: string[] = []
  const directory = opendirSync(path)
  for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
    if (!entry.name.startsWith('.')) names.push(entry.name)
    if (names.length > MOST_FILES) break
  }
  directory.closeSync()
  return names.sort()
}

/**
 * Lists what is to be looked at for a path.
 *
 * @param path - A file or directory.
 * @returns The path itself and, of a directory, its files.
 */
export function filesAt(path: string): readonly string[] {
  try {
    return [path, ...fileNames(path).map((name) => `${path}/${name}`)]
  } catch {
    return [path]
  }
}

async function stampOfFile(file: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true })
    return [file, dev, ino, size, mtimeNs, ctimeNs].join()
  } catch {
    return file
  }
}

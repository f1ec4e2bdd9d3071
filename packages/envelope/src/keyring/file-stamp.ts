import { opendir, stat } from 'node:fs/promises'

/** Far more KEKs than a service has, and few enough to notice the wrong directory before reading all of it. */
export const MOST_FILES = 256

/** Files may be replaced while they are read; three times in a row they are not. */
const ATTEMPTS = 3

/**
 * Says what is at some paths, as a text that is another one after each change: of a file, of the files of a directory, or of
 * where links lead. An update of a Kubernetes mount is such a change: each file is another one then.
 *
 * @param paths - Files and directories. One that is not there has a stamp, too.
 * @returns The text.
 */
export async function stampOf(paths: readonly string[]): Promise<string> {
  return (await Promise.all(paths.map(stampOfPath))).join('\n')
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
  }
  return null
}

/**
 * Lists the files of a directory of KEKs. Whatever begins with a dot is none.
 *
 * @param path - The directory.
 * @returns At most one more than {@link MOST_FILES} names, sorted.
 */
export async function fileNames(path: string): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of await opendir(path)) {
    if (!name.startsWith('.')) names.push(name)
    if (names.length > MOST_FILES) break
  }
  return names.sort()
}

async function stampOfPath(path: string): Promise<string> {
  const names = await fileNames(path).catch(() => [])
  const stamps = names.map(async (name) => `${name} ${await stampOfFile(`${path}/${name}`)}`)
  return [await stampOfFile(path), ...(await Promise.all(stamps))].join('\n')
}

async function stampOfFile(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
    return [dev, ino, size, mtimeNs, ctimeNs].join()
  } catch {
    return 'none'
  }
}

import { type FSWatcher, realpathSync, watch } from 'node:fs'
import { filesAt, stampOf } from './file-stamp.ts'

/** Nothing has changed for that long: a file is not read half-way written, nor a directory half-way filled. */
const QUIET_MS = 100

/** What there is to watch is gone as a whole: looked for that often. */
const SEARCH_MS = 1_000

/**
 * Watches files and directories of KEKs, by the directories that hold them: editors replace a file instead of writing to it,
 * and Kubernetes points a link to another directory. Keeps no process alive.
 *
 * @param paths - Files and directories.
 * @param onChange - Called once things are quiet after a change, and possibly once without one.
 * @returns `close()` ends the watch.
 * @throws Error when the system lets none of the directories be watched.
 */
export function watchFiles(paths: readonly string[], onChange: () => void): { close(): void } {
  const watchers: FSWatcher[] = []
  let timer: NodeJS.Timeout | null = null
  let seen: string | null = null
  let told: string | null = null
  let isClosed = false

  const lookIn = (delayMs: number): void => {
    if (isClosed || timer !== null) return
    timer = setTimeout(() => void look(), delayMs)
    timer.unref()
  }
  const look = async (): Promise<void> => {
    timer = null
    // Before the look: what changes after it is noticed.
    watchDirectories()
    const stamp = await stampOf(paths)
    if (isClosed) return
    if (watchers.length === 0) lookIn(SEARCH_MS)
    if (stamp !== seen) {
      seen = stamp
      lookIn(QUIET_MS)
    } else if (stamp !== told) {
      told = stamp
      onChange()
    }
  }
  const unwatch = (): void => {
    for (const watcher of watchers.splice(0)) watcher.close()
  }
  /** Each time anew: another directory may be at the path of a former one. */
  const watchDirectories = (): unknown => {
    unwatch()
    let failure: unknown
    for (const directory of new Set(paths.flatMap(filesAt).flatMap(directoriesOf))) {
      try {
        const watcher = watch(directory, { persistent: false }, () => lookIn(QUIET_MS))
        watcher.on('error', () => lookIn(SEARCH_MS))
        watchers.push(watcher)
      } catch (error) {
        failure = error
      }
    }
    return failure
  }

  const failure = watchDirectories()
  if (watchers.length === 0 && failure !== undefined) throw failure
  return {
    close() {
      isClosed = true
      if (timer !== null) clearTimeout(timer)
      unwatch()
    },
  }
}

/** The directory that holds a path, for links that are replaced, and the one that holds what it leads to. */
function directoriesOf(path: string): string[] {
  try {
    return [parentOf(path), parentOf(realpathSync(path))]
  } catch {
    return [parentOf(path)]
  }
}

/** By its text: `..` behind a link would lead to where the link points. */
function parentOf(path: string): string {
  const parent = /^(.*)[/\\][^/\\]+[/\\]*$/s.exec(path)?.[1]
  return parent === undefined ? '.' : parent === '' ? '/' : parent
}

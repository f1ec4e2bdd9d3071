import { type FSWatcher, readdirSync, realpathSync, statSync, watch } from 'node:fs'
import { MOST_FILES, stampOf } from './file-stamp.ts'

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
 * @throws Error when the system does not let a directory with KEKs be watched.
 */
export function watchFiles(paths: readonly string[], onChange: () => void): { close(): void } {
  const watchers = new Map<string, FSWatcher>()
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
    try {
      // Before the look: what changes after it is noticed.
      followDirectories()
    } catch {
      lookIn(SEARCH_MS)
    }
    const stamp = await stampOf(paths)
    if (isClosed) return
    if (watchers.size === 0) lookIn(SEARCH_MS)
    if (stamp !== seen) {
      seen = stamp
      lookIn(QUIET_MS)
    } else if (stamp !== told) {
      told = stamp
      onChange()
    }
  }
  /** Another directory at the path of a former one is another one to watch. */
  const followDirectories = (): void => {
    const wanted = new Map<string, Directory>()
    for (const directory of paths.flatMap(directoriesOf)) {
      const identity = identityOf(directory.path)
      if (identity !== null) wanted.set(identity, directory)
    }
    for (const [identity, watcher] of watchers) {
      if (wanted.has(identity)) continue
      watcher.close()
      watchers.delete(identity)
    }
    for (const [identity, { path, isNeeded }] of wanted) {
      if (watchers.has(identity)) continue
      try {
        const watcher = watch(path, { persistent: false }, () => lookIn(QUIET_MS))
        watchers.set(identity, watcher)
        watcher.on('error', () => {
          watchers.delete(identity)
          lookIn(SEARCH_MS)
        })
      } catch (error) {
        if (isNeeded) throw error
      }
    }
  }
  const close = (): void => {
    isClosed = true
    if (timer !== null) clearTimeout(timer)
    for (const watcher of watchers.values()) watcher.close()
    watchers.clear()
  }

  try {
    followDirectories()
  } catch (error) {
    close()
    throw error
  }
  return { close }
}

interface Directory {
  readonly path: string
  /** Whether changes of the files themselves would be missed without it. */
  readonly isNeeded: boolean
}

/** The directory that holds a path, for links and directories that are replaced, and those that hold its files. */
function directoriesOf(path: string): readonly Directory[] {
  const files = filesAt(path)
  const real = new Set(files.flatMap(realDirectoryOf))
  const itself = files[0] === path ? [] : [{ path, isNeeded: true }]
  const holders = [...real].map((holder) => ({ path: holder, isNeeded: true }))
  return [{ path: parentOf(path), isNeeded: files[0] === path }, ...itself, ...holders]
}

function filesAt(path: string): readonly string[] {
  try {
    const names = readdirSync(path).filter((name) => !name.startsWith('.'))
    return names.slice(0, MOST_FILES).map((name) => `${path}/${name}`)
  } catch {
    return [path]
  }
}

function realDirectoryOf(file: string): string[] {
  try {
    return [parentOf(realpathSync(file))]
  } catch {
    return []
  }
}

/** By its text: `..` behind a link would lead to where the link points. */
function parentOf(path: string): string {
  const parent = /^(.*)[/\\][^/\\]+[/\\]*$/s.exec(path)?.[1]
  return parent === undefined ? '.' : parent === '' ? '/' : parent
}

function identityOf(directory: string): string | null {
  try {
    const { dev, ino } = statSync(directory)
    return `${dev},${ino}`
  } catch {
    return null
  }
}

import { constants, type FileHandle, open } from 'node:fs/promises'

/** More than any spelling of a KEK has, and little enough to read whatever a path leads to. */
const MOST_BYTES = 1_024

/** What kept a key source from the text of a file. No fault holds a path: a key may have been put in its place. */
export interface Unreadable {
  readonly faults: readonly string[]
}

/** What a file is to hold, for messages. */
const HOLDS = { kek: 'a KEK is 43 characters', id: 'the id of a KEK is 1 to 32 characters' }

/**
 * Reads a file that holds a KEK, or the id of one, as text. One newline at its end is taken off: editors and `echo` put it
 * there.
 *
 * @param path - Any text.
 * @param what - What it is to hold.
 * @returns The text, still to be checked, or why there is none.
 */
export async function readKekFile(
  path: string,
  what: keyof typeof HOLDS = 'kek',
): Promise<string | Unreadable> {
  let file: FileHandle | null = null
  try {
    // Opened without O_NONBLOCK a named pipe would keep a thread of the process waiting for somebody to write to it.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const status = await file.stat()
    if (status.isDirectory()) return unreadable('cannot be read: it is a directory, not a file')
    if (!status.isFile()) return unreadable('cannot be read: it is no regular file')
    return await readText(file, what)
  } catch (error) {
    return unreadable(describeFileError(error, 'file'))
  } finally {
    await file?.close()
  }
}

/**
 * Says why the system refused a file or directory. Its own message is dropped, for it quotes the path.
 *
 * @param error - What a call of `node:fs` threw.
 * @param what - What was to be read.
 * @returns The reason in words.
 */
export function describeFileError(error: unknown, what: 'file' | 'directory'): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return `cannot be read: there is no such ${what} (its path is not shown: it may be a key, put here by mistake)`
    case 'EACCES':
    case 'EPERM':
      return `cannot be read: this process has no permission to read the ${what}`
    case 'ELOOP':
      return 'cannot be read: its symbolic links lead in a circle'
    case 'ENAMETOOLONG':
      return 'cannot be read: it is longer than a path may be'
    default: {
      const known = typeof code === 'string' && /^E[A-Z0-9]{2,15}$/.test(code)
      return known ? `cannot be read: the system answered ${code}` : 'cannot be read: it is no path'
    }
  }
}

async function readText(file: FileHandle, what: keyof typeof HOLDS): Promise<string | Unreadable> {
  const buffer = Buffer.allocUnsafeSlow(MOST_BYTES + 1)
  let length = 0
  try {
    while (length < buffer.length) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    if (length > MOST_BYTES) {
      return unreadable(`holds more than ${MOST_BYTES} bytes: ${HOLDS[what]} and at most a newline`)
    }
    const bytes = buffer.subarray(0, length)
    if (what === 'kek' && length === 32 && bytes.some((byte) => byte < 0x20 || byte > 0x7e)) {
      return unreadable('holds 32 raw bytes: write them as base64url without padding')
    }
    // Each byte becomes one character, so that whatever is no text is refused with the right number of characters.
    return bytes.toString('latin1').replace(/\r?\n$/, '')
  } finally {
    buffer.fill(0)
  }
}

function unreadable(fault: string): Unreadable {
  return { faults: [fault] }
}

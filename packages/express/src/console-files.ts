import { readFile } from 'node:fs/promises'
import type { ConsoleFile, ConsoleFiles } from './handlers/console.ts'

/** What the build of the console says it has made. */
interface Manifest {
  readonly html: string
  readonly assets: readonly string[]
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/
const TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
}

/**
 * Reads the built console once, when it is first asked for: only what its manifest names, so that nothing else is ever served
 * from there.
 */
export function consoleFiles(folder: URL | null = builtFolder()): ConsoleFiles {
  let read: ReturnType<ConsoleFiles> | null = null
  return async () => {
    read ??= folder === null ? Promise.resolve(null) : readAll(folder)
    let files: Awaited<typeof read> = null
    try {
      files = await read
      return files
    } finally {
      // It may be built while the process runs.
      if (files === null) read = null
    }
  }
}

/** Where the build puts it: beside `src` and beside `dist`. A bundle in CommonJS has no address of its own, and no console. */
function builtFolder(): URL | null {
  const address: string | undefined = import.meta.url
  return address ? new URL('../console/', address) : null
}

async function readAll(folder: URL): ReturnType<ConsoleFiles> {
  let manifest: Manifest
  try {
    manifest = JSON.parse(await readFile(new URL('manifest.json', folder), 'utf8')) as Manifest
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  const { html, assets } = manifest
  const files = await Promise.all(assets.map(async (name) => [name, await fileOf(folder, name)] as const))
  return { page: await fileOf(folder, html), assets: new Map(files) }
}

async function fileOf(folder: URL, name: string): Promise<ConsoleFile> {
  const type = TYPES[name.slice(name.lastIndexOf('.') + 1)]
  if (!NAME.test(name) || type === undefined)
    throw new Error('The manifest of the console names a file of another kind.')
  return { type, bytes: await readFile(new URL(name, folder)) }
}

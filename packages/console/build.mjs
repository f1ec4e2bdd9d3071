/**
 * Builds the console into the package that serves it.
 *
 *     node packages/console/build.mjs
 *
 * Several processes may build at once: names carry a digest of the content, every file is put into place whole, and what is
 * there already is left alone.
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { argv } from 'node:process'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const here = fileURLToPath(new URL('.', import.meta.url))

/** Where `@talos/envelope-express` looks for the console. */
export const consoleFolder = fileURLToPath(new URL('../express/console/', import.meta.url))

/** The most bytes that a first visit may transfer, compressed. */
export const MOST_GZIPPED_BYTES = 80 * 1024

const NOTICE = 'THIRD-PARTY.txt'

/** Bundles script and style; names carry a digest of their content. */
async function bundle() {
  const { outputFiles } = await build({
    absWorkingDir: here,
    entryPoints: { app: 'src/main.tsx' },
    outdir: 'out',
    entryNames: '[name]-[hash]',
    bundle: true,
    write: false,
    minify: true,
    sourcemap: false,
    legalComments: 'none',
    format: 'esm',
    target: ['es2022', 'chrome109', 'firefox115', 'safari16'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    define: { 'process.env.NODE_ENV': '"production"' },
    logLevel: 'silent',
  })
  return outputFiles.map(({ path, contents }) => ({ name: relative(join(here, 'out'), path), contents }))
}

async function icon() {
  const contents = await readFile(join(here, 'src/icon.svg'))
  const digest = createHash('sha256').update(contents).digest('hex').slice(0, 8).toUpperCase()
  return { name: `icon-${digest}.svg`, contents }
}

function page(template, assets) {
  const named = (ending) => assets.find(({ name }) => name.endsWith(ending)).name
  const names = { icon: named('.svg'), style: named('.css'), script: named('.js') }
  return template.replace(/\{\{(\w+)\}\}/g, (_, name) => names[name])
}

async function isThere(file) {
  const current = await readFile(join(consoleFolder, file.name)).catch(() => null)
  return current?.equals(Buffer.from(file.contents)) ?? false
}

async function putInPlace(file) {
  if (await isThere(file)) return
  const unfinished = join(consoleFolder, `.${randomBytes(6).toString('hex')}`)
  await writeFile(unfinished, file.contents)
  await rename(unfinished, join(consoleFolder, file.name))
}

/**
 * Builds the console, unless the same is there.
 *
 * @returns The names of the assets, and the bytes of page and assets together, as they are and compressed.
 * @throws Error when they are larger than {@link MOST_GZIPPED_BYTES}, or the sources cannot be bundled.
 */
export async function buildConsole() {
  const assets = [...(await bundle()), await icon()].sort((a, b) => (a.name < b.name ? -1 : 1))
  const html = page(await readFile(join(here, 'src/index.html'), 'utf8'), assets)
  const index = { name: 'index.html', contents: Buffer.from(html) }
  const manifest = { html: index.name, assets: assets.map(({ name }) => name) }
  const notice = await readFile(new URL('LICENSE', import.meta.resolve('preact/package.json')), 'utf8')

  const served = [index, ...assets]
  const bytes = served.reduce((sum, { contents }) => sum + contents.length, 0)
  const gzippedBytes = served.reduce((sum, { contents }) => sum + gzipSync(contents).length, 0)
  if (gzippedBytes > MOST_GZIPPED_BYTES) {
    throw new Error(`the console has ${gzippedBytes} bytes compressed, more than ${MOST_GZIPPED_BYTES}`)
  }

  const files = [
    ...assets,
    { name: NOTICE, contents: Buffer.from(`The console contains Preact.\n\n${notice}`) },
    index,
    { name: 'manifest.json', contents: Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`) },
  ]
  await mkdir(consoleFolder, { recursive: true })
  // In this order: whoever reads the manifest finds what it names.
  for (const file of files) await putInPlace(file)
  const wanted = new Set(files.map(({ name }) => name))
  for (const name of await readdir(consoleFolder)) {
    if (!wanted.has(name) && !name.startsWith('.')) await rm(join(consoleFolder, name), { force: true })
  }
  return { assets: manifest.assets, bytes, gzippedBytes }
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const { assets, bytes, gzippedBytes } = await buildConsole()
  const kibibytes = (count) => `${(count / 1024).toFixed(1)} KiB`
  process.stdout.write(
    `console: ${assets.join(', ')}; ${kibibytes(bytes)}, ${kibibytes(gzippedBytes)} compressed ` +
      `(at most ${kibibytes(MOST_GZIPPED_BYTES)})\n`,
  )
}

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { consoleFiles } from '../../src/console-files.ts'
import { readConsole, readConsoleFile } from '../../src/handlers/console.ts'

function folderWith(files: Readonly<Record<string, string>>): { readonly path: string; readonly url: URL } {
  const path = mkdtempSync(join(tmpdir(), 'console-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text)
  return { path, url: pathToFileURL(`${path}/`) }
}

const BUILT = {
  'manifest.json': JSON.stringify({ html: 'index.html', assets: ['app-1.js', 'app-1.css', 'icon-1.svg'] }),
  'index.html': '<p>',
  'app-1.js': 'js',
  'app-1.css': 'css',
  'icon-1.svg': 'svg',
  'THIRD-PARTY.txt': 'licence',
}
const ask = (file: string) => ({ params: { file } }) as never

describe('the files of the console', () => {
  it('Rule 7: are those that the manifest names, each with its type, and nothing else of the folder', async () => {
    const files = consoleFiles(folderWith(BUILT).url)
    const page = await readConsole(files)()
    expect(page).toMatchObject({ status: 200, headers: { 'Content-Type': 'text/html; charset=utf-8' } })
    for (const [name, type] of [
      ['app-1.js', 'text/javascript; charset=utf-8'],
      ['app-1.css', 'text/css; charset=utf-8'],
      ['icon-1.svg', 'image/svg+xml'],
    ] as const) {
      const answer = await readConsoleFile(files)(ask(name))
      expect([name, answer.headers?.['Content-Type']]).toEqual([name, type])
    }
    for (const name of [
      'manifest.json',
      'THIRD-PARTY.txt',
      '../index.html',
      'index.html',
      'constructor',
      '',
    ]) {
      await expect(readConsoleFile(files)(ask(name))).rejects.toMatchObject({
        code: 'CONSOLE_FILE_NOT_FOUND',
      })
    }
  })

  it('are found once they are built, without a restart', async () => {
    const { path, url } = folderWith({})
    const files = consoleFiles(url)
    await expect(readConsole(files)()).rejects.toMatchObject({ code: 'CONSOLE_NOT_BUILT' })
    await expect(readConsoleFile(files)(ask('app-1.js'))).rejects.toMatchObject({ code: 'CONSOLE_NOT_BUILT' })
    mkdirSync(path, { recursive: true })
    for (const [name, text] of Object.entries(BUILT)) writeFileSync(join(path, name), text)
    expect((await readConsole(files)()).status).toBe(200)
  })

  it.each(['../secret.js', 'a/b.js', '.hidden.js', 'a.txt', ''])(
    'are not taken from a manifest that names %s',
    async (name) => {
      const manifest = JSON.stringify({ html: 'index.html', assets: [name] })
      const files = consoleFiles(folderWith({ ...BUILT, 'manifest.json': manifest }).url)
      await expect(readConsole(files)()).rejects.toThrow('names a file of another kind')
    },
  )
})

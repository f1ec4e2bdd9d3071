import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { CANARY_KEK, findCanaries } from '../../../../test/canaries.ts'
import { directoryKeys, environmentKeys, KeyError, type KeySource } from '../../src/index.ts'
import { describeFileError } from '../../src/keyring/kek-file.ts'
import { counting, KNOWN } from '../sample.ts'

const K1 = Buffer.from(KNOWN.kekBytes).toString('base64url')
const K2 = Buffer.from(counting(0x80, 32)).toString('base64url')
const CANARY = Buffer.from(CANARY_KEK).toString('base64url')

const root = mkdtempSync(join(tmpdir(), 'talos-keys-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
let folder = ''
let folders = 0
beforeEach(() => {
  folders += 1
  folder = join(root, `${folders}`)
  mkdirSync(folder)
})

function put(name: string, content: string | Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

/** Every fault, as `variable fault`; no rendering of the error holds a key or the path of the test. */
async function faultsOf(source: KeySource): Promise<readonly string[]> {
  const outcome: unknown = await source.load().catch((error: unknown) => error)
  if (!(outcome instanceof KeyError)) throw new Error('The key source reported no fault.')
  expect(outcome.code).toBe('ERR_KEY_CONFIGURATION')
  const printed = inspect(outcome, { showHidden: true, depth: 9 }) + JSON.stringify(outcome)
  expect(findCanaries(printed)).toEqual([])
  expect(`${outcome.message}${JSON.stringify(outcome.faults)}`).not.toContain(root)
  expect(outcome.cause).toBeUndefined()
  return outcome.faults.map(({ variable, fault }) => `${variable} ${fault}`)
}

const fromEnvironment = (environment: Record<string, string>): KeySource =>
  environmentKeys({ environment: { TALOS_CURRENT_KEK_ID: 'v1', ...environment } })

describe('a KEK in a file', () => {
  it.each([
    ['without a newline', ''],
    ['with a newline at the end', '\n'],
    ['with a newline of Windows at the end', '\r\n'],
  ])('is read from TALOS_KEK_<id>_FILE %s', async (_, end) => {
    const keyring = await fromEnvironment({
      TALOS_KEK_v1_FILE: put('one', K1 + end),
      TALOS_KEK_v2: K2,
    }).load()
    expect(keyring.ids).toEqual(['v1', 'v2'])
    expect(keyring.get('v1')?.fingerprint).toBe(KNOWN.fingerprint)
  })

  it('is read anew at each load', async () => {
    const source = fromEnvironment({ TALOS_KEK_v1_FILE: put('one', K1) })
    const before = (await source.load()).get('v1')?.fingerprint
    put('one', K2)
    expect((await source.load()).get('v1')?.fingerprint).not.toBe(before)
  })

  it.each<[string, string | Uint8Array, RegExp]>([
    ['is empty', '', /^is empty/],
    ['holds a newline only', '\n', /^is empty/],
    ['ends in two newlines', `${CANARY}\n\n`, /white space around/],
    ['begins with white space', ` ${CANARY}`, /white space around/],
    ['holds two lines', `${CANARY}\n${CANARY}`, /outside of base64url/],
    ['is padded', `${CANARY}=`, /padding/],
    ['is hexadecimal', Buffer.from(CANARY_KEK).toString('hex'), /looks like hexadecimal/],
    ['holds the raw bytes', CANARY_KEK, /^holds 32 raw bytes/],
    ['begins with a byte order mark', `\ufeff${CANARY}`, /outside of base64url/],
    ['is UTF-16', Buffer.from(CANARY, 'utf16le'), /outside of base64url/],
    ['is binary', counting(0, 200), /outside of base64url/],
    ['has 1,025 bytes', 'A'.repeat(1_025), /^holds more than 1024 bytes/],
    ['has a megabyte', Buffer.alloc(1_048_576, CANARY), /^holds more than 1024 bytes/],
    [
      'is a password',
      Buffer.from('correct horse battery staple 123').toString('base64url'),
      /printable ASCII/,
    ],
  ])('is refused when the file %s', async (_, content, pattern) => {
    const faults = await faultsOf(fromEnvironment({ TALOS_KEK_v1_FILE: put('one', content) }))
    expect(faults[0]?.replace(/^TALOS_KEK_v1_FILE /, '')).toMatch(pattern)
    expect(faults.every((fault) => fault.startsWith('TALOS_KEK_v1_FILE '))).toBe(true)
  })

  it('is refused when there is no file, a directory, a device, a pipe, a circle of links or no path', async () => {
    symlinkSync(join(folder, 'b'), join(folder, 'a'))
    symlinkSync(join(folder, 'a'), join(folder, 'b'))
    expect(spawnSync('mkfifo', [join(folder, 'pipe')]).status).toBe(0)
    const faults = await faultsOf(
      fromEnvironment({
        TALOS_KEK_v1_FILE: join(folder, 'none'),
        TALOS_KEK_v2_FILE: folder,
        TALOS_KEK_v3_FILE: '/dev/zero',
        TALOS_KEK_v4_FILE: join(folder, 'pipe'),
        TALOS_KEK_v5_FILE: join(folder, 'a'),
        TALOS_KEK_v6_FILE: 'a\0b',
        TALOS_KEK_v7_FILE: '',
        TALOS_KEK_v8_FILE: `/${'x'.repeat(5_000)}`,
        TALOS_KEK_v9_FILE: join(put('one', K1), 'two'),
      }),
    )
    expect(faults.map((fault) => fault.replace(/ \(.*/, ''))).toEqual([
      'TALOS_KEK_v1_FILE cannot be read: there is no such file',
      'TALOS_KEK_v2_FILE cannot be read: it is a directory, not a file',
      'TALOS_KEK_v3_FILE cannot be read: it is no regular file',
      'TALOS_KEK_v4_FILE cannot be read: it is no regular file',
      'TALOS_KEK_v5_FILE cannot be read: its symbolic links lead in a circle',
      'TALOS_KEK_v6_FILE cannot be read: it is no path',
      'TALOS_KEK_v7_FILE is empty: give the path of a file, or unset it',
      'TALOS_KEK_v8_FILE cannot be read: it is longer than a path may be',
      'TALOS_KEK_v9_FILE cannot be read: there is no such file',
    ])
  })

  // A test that runs as root is refused nothing.
  it.each(['EACCES', 'EPERM'])('is refused when the system answers %s', (code) => {
    const error = Object.assign(new Error(`${code}: permission denied, open '/${CANARY}'`), { code })
    expect(describeFileError(error, 'file')).toBe(
      'cannot be read: this process has no permission to read the file',
    )
  })

  it('is refused beside a variable of the same id, also when both hold the same', async () => {
    const environment = { TALOS_KEK_v1: K1, TALOS_KEK_v1_FILE: put('one', K1) }
    expect(await faultsOf(fromEnvironment(environment))).toEqual([
      'TALOS_KEK_v1_FILE gives KEK v1 a second time, after TALOS_KEK_v1: keep one of them',
    ])
  })

  it('is refused with an upper-case id, and spelt for the operator', async () => {
    const environment = { TALOS_KEK_v1: K1, TALOS_KEK_V2_FILE: put('two', K2) }
    expect(await faultsOf(fromEnvironment(environment))).toEqual([
      'TALOS_KEK_V2_FILE has an upper-case id: spell it TALOS_KEK_v2_FILE',
    ])
  })

  it.each([CANARY, `${CANARY}=`, Buffer.from(CANARY_KEK).toString('base64'), `/${CANARY}`])(
    'put in the place of its path is never printed',
    async (pasted) => {
      const faults = await faultsOf(fromEnvironment({ TALOS_KEK_v1_FILE: pasted, TALOS_KEK_DIR: pasted }))
      expect(faults).toHaveLength(2)
      for (const fault of faults)
        expect(fault).toMatch(/there is no such (file|directory) \(its path is not shown/)
      expect(await faultsOf(directoryKeys({ path: pasted, currentKekId: 'v1' }))).toHaveLength(1)
    },
  )
})

/** A secret as kubelet mounts it: links through `..data` to a directory that an update replaces as a whole. */
function mountSecret(files: Readonly<Record<string, string>>, version: string): void {
  mkdirSync(join(folder, `..${version}`))
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, `..${version}`, name), content)
    rmSync(join(folder, name), { force: true })
    symlinkSync(join('..data', name), join(folder, name))
  }
  symlinkSync(`..${version}`, join(folder, '..data_tmp'))
  renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
}

describe('a directory of KEKs', () => {
  it('is read as Kubernetes mounts a secret, hidden files left out, and anew at each load', async () => {
    mountSecret({ v1: `${K1}\n` }, '2030_01')
    put('.keep', 'not a key')
    const source = fromEnvironment({ TALOS_KEK_DIR: folder })
    expect((await source.load()).ids).toEqual(['v1'])
    mountSecret({ v1: `${K1}\n`, v2: K2 }, '2030_02')
    expect((await source.load()).ids).toEqual(['v1', 'v2'])
  })

  it('is never read half before and half after an update of the mount', async () => {
    const names = ['v1', 'v2', 'v3', 'v4']
    const round = (number: number) =>
      Object.fromEntries(
        names.map((name, index) => [
          name,
          Buffer.from(counting(0, 32).map((byte) => byte * 7 + index * 37 + number * 11 + 129)).toString(
            'base64url',
          ),
        ]),
      )
    mountSecret(round(0), 'a0')
    const source = directoryKeys({ path: folder, currentKekId: 'v1' })
    const fingerprints = async (): Promise<string> => String(await source.load())
    const whole = new Set<string>()
    const seen: Promise<string>[] = []
    for (let number = 0; number < 20; number += 1) {
      // Each load tries five times: at most three of them may meet a mount, however slow the machine is.
      await seen.at(-3)
      if (number > 0) mountSecret(round(number), `a${number}`)
      whole.add(await fingerprints())
      seen.push(fingerprints())
      await new Promise((resolve) => setImmediate(resolve))
    }
    for (const keyring of await Promise.all(seen)) expect(whole).toContain(keyring)
  })

  it('adds to the variables of the environment, and may not repeat them', async () => {
    put('v2', K2)
    expect((await fromEnvironment({ TALOS_KEK_v1: K1, TALOS_KEK_DIR: folder }).load()).ids).toEqual([
      'v1',
      'v2',
    ])
    put('v1', CANARY)
    expect(await faultsOf(fromEnvironment({ TALOS_KEK_v1: K1, TALOS_KEK_DIR: folder }))).toEqual([
      'TALOS_KEK_DIR/v1 gives KEK v1 a second time, after TALOS_KEK_v1: keep one of them',
    ])
  })

  it('is a key source of its own, with the ids in the program', async () => {
    put('v1', K1)
    put('v2', K2)
    const source = directoryKeys({ path: folder, currentKekId: 'v2', decryptOnlyKekIds: ['v1'] })
    const keyring = await source.load()
    expect([keyring.ids, keyring.wishedKekId, keyring.isDecryptOnly('v1')]).toEqual([
      ['v1', 'v2'],
      'v2',
      true,
    ])
    await expect(source.load({ signal: AbortSignal.abort() })).rejects.toHaveProperty('name', 'AbortError')
  })

  it('reports every fault of every file at once, by the names of the files', async () => {
    put('v1', K1)
    put('v2', `${CANARY}=`)
    put('V3', K2)
    put('README.md', CANARY)
    put(CANARY, CANARY)
    mkdirSync(join(folder, 'old'))
    const faults = await faultsOf(directoryKeys({ path: folder, currentKekId: 'v9' }))
    expect([...faults].sort()).toEqual([
      'currentKekId names v9, which is not among the configured KEKs',
      expect.stringMatching(/^path\/<id> has an id of 43 characters that is no KEK id, so it is not shown/),
      expect.stringMatching(/^path\/<id> has an id of 9 characters that is no KEK id, so it is not shown/),
      'path/V3 has an upper-case id: spell it path/v3',
      'path/old cannot be read: it is a directory, not a file',
      expect.stringMatching(/^path\/v2 has padding/),
    ])
  })

  it('is refused when it is empty, missing, a file, blank, or of more than 256 files', async () => {
    const faultsAt = (path: string) => faultsOf(fromEnvironment({ TALOS_KEK_DIR: path }))
    expect(await faultsAt(folder)).toEqual(['TALOS_KEK_DIR holds no KEK: one file for each, named by its id'])
    expect(await faultsAt('')).toEqual(['TALOS_KEK_DIR is empty: give the path of a directory, or unset it'])
    expect((await faultsAt(join(folder, 'none')))[0]).toMatch(/^TALOS_KEK_DIR .* there is no such directory/)
    expect((await faultsAt(put('one', K1)))[0]).toMatch(/^TALOS_KEK_DIR .* there is no such directory/)
    for (let file = 0; file < 257; file += 1) put(`k${file}`, K1)
    expect(await faultsAt(folder)).toEqual([
      'TALOS_KEK_DIR holds more than 256 files: it is no directory of KEKs',
    ])
  })

  it.each([
    ['no path', { currentKekId: 'v1' }],
    ['an empty path', { path: '', currentKekId: 'v1' }],
    ['no current id', { path: '/keys' }],
    ['a text of decrypt-only ids', { path: '/keys', currentKekId: 'v1', decryptOnlyKekIds: 'v2' }],
  ])('refuses %s as misuse', (_, options) => {
    expect(() => directoryKeys(options as never)).toThrow(TypeError)
  })
})

import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { inspect } from 'node:util'
import { directoryKeys, environmentKeys, KeyError, type KeySource } from '@talos/envelope'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { CANARY_KEK, findCanaries } from '../../../../test/canaries.ts'
import { V1, V2 } from '../support/vaults.ts'

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')
const CANARY = text(CANARY_KEK)

const root = mkdtempSync(join(tmpdir(), 'talos-current-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
let folder = ''
let folders = 0
beforeEach(() => {
  folders += 1
  folder = join(root, `${folders}`)
  mkdirSync(folder)
})

function put(name: string, content: string | Uint8Array): string {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}

const fromEnvironment = (environment: Record<string, string>): KeySource =>
  environmentKeys({ environment: { TALOS_KEK_v1: text(V1), TALOS_KEK_v2: text(V2), ...environment } })

async function faultsOf(source: KeySource): Promise<readonly string[]> {
  const outcome: unknown = await source.load().catch((error: unknown) => error)
  if (!(outcome instanceof KeyError)) throw new Error('The key source reported no fault.')
  const printed = inspect(outcome, { showHidden: true, depth: 9 }) + JSON.stringify(outcome)
  expect(findCanaries(printed)).toEqual([])
  expect(`${outcome.message}${JSON.stringify(outcome.faults)}`).not.toContain(root)
  return outcome.faults.map(({ variable, fault }) => `${variable} ${fault}`)
}

describe('a file that names the current KEK', () => {
  it.each(['v2', 'v2\n', 'v2\r\n'])(
    'is read, with or without a newline at the end, anew at each load: %j',
    async (content) => {
      const source = fromEnvironment({ TALOS_CURRENT_KEK_ID_FILE: put('current', content) })
      expect((await source.load()).wishedKekId).toBe('v2')
      put('current', 'v1')
      expect((await source.load()).wishedKekId).toBe('v1')
    },
  )

  it.each<[string, string | Uint8Array, string]>([
    ['is empty', '', 'is empty: name the id of the KEK to wrap under'],
    ['ends in two newlines', 'v2\n\n', 'names an id with white space around it: remove it'],
    ['begins with white space', ' v2', 'names an id with white space around it: remove it'],
    ['names no KEK there is', 'v9', 'names v9, which is not among the configured KEKs'],
    ['is in upper case', 'V2', 'names an upper-case id: spell it v2'],
    ['holds two ids', 'v1\nv2', 'names a text of 5 characters that is no KEK id, so it is not shown'],
    ['holds a KEK', CANARY, 'names a text of 43 characters that is no KEK id, so it is not shown'],
    [
      'holds the bytes of one',
      CANARY_KEK,
      'names a text of 32 characters that is no KEK id, so it is not shown',
    ],
    [
      'has 1,025 bytes',
      'v'.repeat(1_025),
      'holds more than 1024 bytes: the id of a KEK is 1 to 32 characters and at most a newline',
    ],
  ])('is refused when it %s', async (_, content, fault) => {
    const path = put('current', content)
    expect(await faultsOf(fromEnvironment({ TALOS_CURRENT_KEK_ID_FILE: path }))).toEqual([
      `TALOS_CURRENT_KEK_ID_FILE ${fault}`,
    ])
  })

  it('is refused when there is none, or its path is blank, a directory or a KEK', async () => {
    const faultsAt = (path: string) => faultsOf(fromEnvironment({ TALOS_CURRENT_KEK_ID_FILE: path }))
    expect(await faultsAt('')).toEqual([
      'TALOS_CURRENT_KEK_ID_FILE is empty: give the path of a file, or unset it',
    ])
    expect(await faultsAt(folder)).toEqual([
      'TALOS_CURRENT_KEK_ID_FILE cannot be read: it is a directory, not a file',
    ])
    for (const path of [join(folder, 'none'), CANARY]) {
      expect(await faultsAt(path)).toEqual([
        expect.stringMatching(/^TALOS_CURRENT_KEK_ID_FILE cannot be read: there is no such file/),
      ])
    }
  })

  it('is refused beside the variable, also when both name the same KEK', async () => {
    const path = put('current', 'v1')
    const source = fromEnvironment({ TALOS_CURRENT_KEK_ID: 'v1', TALOS_CURRENT_KEK_ID_FILE: path })
    expect(await faultsOf(source)).toEqual([
      'TALOS_CURRENT_KEK_ID_FILE names the current KEK a second time, after TALOS_CURRENT_KEK_ID: keep one of them',
    ])
  })

  it('may stand in the directory of the KEKs, under a name that begins with a dot', async () => {
    put('v1', text(V1))
    put('v2', text(V2))
    const currentKekIdFile = put('.current', 'v2\n')
    const keyring = await directoryKeys({ path: folder, currentKekIdFile }).load()
    expect([keyring.ids, keyring.wishedKekId]).toEqual([['v1', 'v2'], 'v2'])
    put('.current', 'v3')
    expect(await faultsOf(directoryKeys({ path: folder, currentKekIdFile }))).toEqual([
      'currentKekIdFile names v3, which is not among the configured KEKs',
    ])
  })

  it.each([
    ['both', { path: '/keys', currentKekId: 'v1', currentKekIdFile: '/keys/.current' }],
    ['neither', { path: '/keys' }],
    ['a number', { path: '/keys', currentKekIdFile: 5 }],
  ])('is misuse of directoryKeys beside the id, and so is neither: %s', (_, options) => {
    expect(() => directoryKeys(options as never)).toThrow(TypeError)
  })

  it('is never read from before an update of the mount with KEKs from after it', async () => {
    const mount = (version: number): void => {
      const versioned = join(folder, `..${version}`)
      mkdirSync(versioned)
      writeFileSync(join(versioned, `v${version}`), text(version % 2 === 0 ? V1 : V2))
      writeFileSync(join(versioned, '.current'), `v${version}`)
      symlinkSync(`..${version}`, join(folder, '..data_tmp'))
      renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
      for (const name of [`v${version}`, '.current']) {
        rmSync(join(folder, name), { force: true })
        symlinkSync(join('..data', name), join(folder, name))
      }
      rmSync(join(folder, `v${version - 1}`), { force: true })
    }
    mount(1)
    const source = environmentKeys({
      environment: { TALOS_KEK_DIR: folder, TALOS_CURRENT_KEK_ID_FILE: join(folder, '.current') },
    })
    const loads: Promise<string>[] = []
    for (let version = 2; version < 120; version += 1) {
      loads.push(source.load().then(({ ids, wishedKekId }) => `${ids.join(' ')} ${wishedKekId}`))
      // From before the load begins to after it has ended.
      for (let turn = 0; turn < version * 4; turn += 1) await setImmediate()
      mount(version)
      await loads.at(-1)
    }
    const seen = await Promise.all(loads)
    for (const keyring of seen) expect(keyring).toMatch(/^(v\d+) \1$/)
    expect(new Set(seen).size).toBeGreaterThan(20)
  })
})

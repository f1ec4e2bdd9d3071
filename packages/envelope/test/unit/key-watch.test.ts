import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import {
  directoryKeys,
  environmentKeys,
  type KeySource,
  MemoryStore,
  openVault,
  type SecretVault,
  type VaultEvent,
} from '@talos/envelope'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { V1, V2, V3 } from '../support/vaults.ts'

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')
const [K1, K2, K3] = [text(V1), text(V2), text(V3)]

const root = mkdtempSync(join(tmpdir(), 'talos-watch-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
let folder = ''
let folders = 0
const endings: (() => unknown)[] = []
beforeEach(() => {
  folders += 1
  folder = join(root, `${folders}`, 'keks')
  mkdirSync(folder, { recursive: true })
})
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end()
})

function put(name: string, content: string): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

/** Replaces a file as an editor does. */
function replace(name: string, content: string): void {
  renameSync(put(`.${name}.new`, content), join(folder, name))
}

/** A secret as kubelet mounts it: links through `..data` to a directory that an update replaces as a whole. */
function mountSecret(files: Readonly<Record<string, string>>, version: string): void {
  mkdirSync(join(folder, `..${version}`))
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(folder, `..${version}`, name), content)
  symlinkSync(`..${version}`, join(folder, '..data_tmp'))
  renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
  for (const name of Object.keys(files)) {
    rmSync(join(folder, name), { force: true })
    symlinkSync(join('..data', name), join(folder, name))
  }
}

/** Watches a source, and says what it gave when it last told of a change. */
function watched(source: KeySource) {
  const seen: string[] = []
  const watch = source.watch?.(() => {
    void source.load().then(
      (keyring) => seen.push(`${keyring.ids.join(' ')}, current ${keyring.wishedKekId}`),
      () => seen.push('faulty'),
    )
  })
  if (watch === undefined) throw new Error('The source cannot be watched.')
  endings.push(() => watch.close())
  return {
    close: () => watch.close(),
    seen,
    comesTo: (last: string) => vi.waitFor(() => expect(seen.at(-1)).toBe(last), { timeout: 10_000 }),
  }
}

async function vaultOf(keys: KeySource): Promise<{ vault: SecretVault; events: VaultEvent[] }> {
  const events: VaultEvent[] = []
  const vault = await openVault({
    store: new MemoryStore(),
    keys,
    namespace: 'gateway',
    leaseMs: 600,
    onEvent: (event) => events.push(event),
  })
  endings.push(() => vault.close())
  return { vault, events }
}

const until = (condition: () => unknown): Promise<unknown> =>
  vi.waitFor(() => expect(condition()).toBeTruthy(), { timeout: 10_000 })

describe('a watch of a directory of KEKs', () => {
  const watching = () => watched(directoryKeys({ path: folder, currentKekIdFile: join(folder, '.current') }))

  it('sees files that come, change, are replaced and go', async () => {
    put('v1', K1)
    put('.current', 'v1')
    const watch = watching()
    put('v2', `${K2}\n`)
    await watch.comesTo('v1 v2, current v1')
    replace('.current', 'v2\n')
    await watch.comesTo('v1 v2, current v2')
    put('.current', 'v1')
    await watch.comesTo('v1 v2, current v1')
    unlinkSync(join(folder, 'v2'))
    await watch.comesTo('v1, current v1')
  })

  it('sees a Kubernetes secret swapped, again and again, and never half of it', async () => {
    mountSecret({ v1: K1, '.current': 'v1' }, '2030_01')
    const watch = watching()
    mountSecret({ v1: K1, v2: K2, '.current': 'v2' }, '2030_02')
    await watch.comesTo('v1 v2, current v2')
    mountSecret({ v1: K1, v2: K2, v3: K3, '.current': 'v3' }, '2030_03')
    await watch.comesTo('v1 v2 v3, current v3')
    // Kubelet takes the former version away afterwards.
    rmSync(join(folder, '..2030_01'), { recursive: true })
    rmSync(join(folder, '..2030_02'), { recursive: true })
    mountSecret({ v1: K1, v2: K2, v3: K3, '.current': 'v1' }, '2030_04')
    await watch.comesTo('v1 v2 v3, current v1')
    expect(watch.seen).not.toContain('faulty')
  })

  it('sees the directory replaced as a whole, or gone for a while', async () => {
    put('v1', K1)
    put('.current', 'v1')
    const watch = watching()
    const next = `${folder}.next`
    mkdirSync(next)
    writeFileSync(join(next, 'v2'), K2)
    writeFileSync(join(next, '.current'), 'v2')
    renameSync(folder, `${folder}.old`)
    renameSync(next, folder)
    await watch.comesTo('v2, current v2')
    put('v3', K3)
    await watch.comesTo('v2 v3, current v2')
    rmSync(folder, { recursive: true })
    await watch.comesTo('faulty')
    mkdirSync(folder)
    put('v1', K1)
    put('.current', 'v1')
    await watch.comesTo('v1, current v1')
  })

  it('sees a link to the directory, or to a file elsewhere, pointed to another one and its target written', async () => {
    const versions = join(folder, '..', 'versions')
    for (const [version, kek] of [
      ['a', K1],
      ['b', K2],
    ] as const) {
      mkdirSync(join(versions, version), { recursive: true })
      writeFileSync(join(versions, version, 'v1'), kek)
      writeFileSync(join(versions, version, 'v2'), K3)
    }
    const link = join(folder, 'link')
    symlinkSync(join(versions, 'a'), link)
    const source = directoryKeys({ path: link, currentKekId: 'v1' })
    const fingerprints: (string | undefined)[] = []
    const watch = source.watch?.(() => {
      const loaded = (fingerprint?: string): unknown => fingerprints.push(fingerprint)
      // A file that is half written is refused; the rest of it is told of, too.
      source.load().then(
        (keyring) => loaded(keyring.get('v1')?.fingerprint),
        () => loaded(),
      )
    })
    endings.push(() => watch?.close())
    symlinkSync(join(versions, 'b'), `${link}.new`)
    renameSync(`${link}.new`, link)
    const before = (await source.load()).get('v1')?.fingerprint
    await until(() => fingerprints.at(-1) === before)
    writeFileSync(join(versions, 'b', 'v1'), K1)
    await until(() => fingerprints.length > 0 && fingerprints.at(-1) !== before)
  })

  it('waits until a file that is written for a while is whole', async () => {
    put('v1', K1)
    put('.current', 'v1')
    const watch = watching()
    const began = performance.now()
    for (let step = 1; performance.now() - began < 450; step += 1) {
      put('v2', K2.slice(0, step % 43))
      await setImmediate()
    }
    put('v2', K2)
    await watch.comesTo('v1 v2, current v1')
    expect(watch.seen).not.toContain('faulty')
  })

  it('is silent once it is closed', async () => {
    put('v1', K1)
    put('.current', 'v1')
    const [closed, other] = [watching(), watching()]
    put('v2', K2)
    await other.comesTo('v1 v2, current v1')
    await closed.comesTo('v1 v2, current v1')
    put('v3', K3)
    closed.close()
    await other.comesTo('v1 v2 v3, current v1')
    put('.current', 'v3')
    await other.comesTo('v1 v2 v3, current v3')
    expect(closed.seen.at(-1)).toBe('v1 v2, current v1')
  })

  it('does not keep a process alive', () => {
    put('v1', K1)
    const source = fileURLToPath(new URL('../../src/keyring/file-source.ts', import.meta.url))
    const program = `
      const { directoryKeys } = await import(${JSON.stringify(source)})
      directoryKeys({ path: ${JSON.stringify(folder)}, currentKekId: 'v1' }).watch(() => {})
      process.stdout.write('watching')`
    const options = ['--experimental-strip-types', '--no-warnings', '--input-type=module', '-e', program]
    const { status, signal, stdout } = spawnSync(process.execPath, options, {
      timeout: 20_000,
      encoding: 'utf8',
    })
    expect([status, signal, stdout]).toEqual([0, null, 'watching'])
  })
})

describe('a watch of the environment', () => {
  it('sees the files that variables name, and the directory', async () => {
    const files = join(folder, '..', 'files')
    mkdirSync(files)
    writeFileSync(join(files, 'one'), K1)
    writeFileSync(join(files, 'current'), 'v1\n')
    put('v2', K2)
    const watch = watched(
      environmentKeys({
        environment: {
          TALOS_KEK_v1_FILE: join(files, 'one'),
          TALOS_KEK_DIR: folder,
          TALOS_CURRENT_KEK_ID_FILE: join(files, 'current'),
        },
      }),
    )
    writeFileSync(join(files, 'current'), 'v2')
    await watch.comesTo('v1 v2, current v2')
    put('v3', K3)
    await watch.comesTo('v1 v2 v3, current v2')
    writeFileSync(join(files, 'one'), 'no key')
    await watch.comesTo('faulty')
    writeFileSync(join(files, 'one.new'), K1)
    renameSync(join(files, 'one.new'), join(files, 'one'))
    await watch.comesTo('v1 v2 v3, current v2')
  })

  it('has nothing to see where no variable names a file', () => {
    const source = environmentKeys({ environment: { TALOS_KEK_v1: K1, TALOS_CURRENT_KEK_ID: 'v1' } })
    expect(source.watch?.(() => {}).close()).toBeUndefined()
  })
})

describe('a vault on a directory of KEKs', () => {
  it('adds, promotes and drops KEKs as a mounted secret changes, without a restart', async () => {
    mountSecret({ v1: K1, '.current': 'v1' }, 'a')
    const { vault, events } = await vaultOf(
      directoryKeys({ path: folder, currentKekIdFile: join(folder, '.current') }),
    )
    await vault.put('a', 'value')
    mountSecret({ v1: K1, v2: K2, '.current': 'v2' }, 'b')
    await until(() => events.some((event) => event.type === 'promoted' && event.kekId === 'v2'))
    const { id } = await vault.rotate()
    await vi.waitFor(async () => expect((await vault.rotations.get(id))?.status).toBe('completed'), {
      timeout: 10_000,
    })
    unlinkSync(join(folder, 'v1'))
    mountSecret({ v2: K2, '.current': 'v2' }, 'c')
    await until(() => events.some((event) => event.type === 'reloaded' && event.removed.includes('v1')))
    expect(await vault.status()).toMatchObject({ loadedKekIds: ['v2'], currentKekId: 'v2', ready: true })
    expect((await vault.get('a'))?.text()).toBe('value')
    expect(events.filter(({ type }) => type === 'fault')).toEqual([])
  })

  it('keeps what it has while the files are faulty or lack a KEK, and says so without a path', async () => {
    put('v1', K1)
    put('v2', K2)
    const { vault, events } = await vaultOf(directoryKeys({ path: folder, currentKekId: 'v2' }))
    put('v2', 'no key')
    await until(() =>
      events.some((event) => event.type === 'fault' && event.code === 'ERR_KEY_CONFIGURATION'),
    )
    await vault.put('a', 'value')
    const { notices } = await vault.status()
    expect(notices).toEqual([
      expect.stringMatching(/^The key source could not be loaded again\. .*\n- path\/v2 /),
    ])
    put('v2', K3)
    await until(() => events.some((event) => event.type === 'fault' && event.code === 'ERR_KEK_MISMATCH'))
    expect((await vault.get('a'))?.text()).toBe('value')
    put('v2', K2)
    await until(() => events.some(({ type }) => type === 'reloaded'))
    expect((await vault.status()).notices).toEqual([])
    expect(JSON.stringify(events)).not.toContain(root)
  })
})

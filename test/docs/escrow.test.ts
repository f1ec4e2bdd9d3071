import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { environmentKeys, isEnvelopeError, MemoryStore, openKek, openVault } from '@talos/envelope'
import { expect, onTestFinished, test } from 'vitest'
import { withCheck } from '../../packages/envelope/test/support/sealed-kek.ts'
import { runStep, stepsOf } from './guide.ts'
import { fencesOf, readMarkdown } from './markdown.ts'
import { Shell } from './shell.ts'
import { workspaceTree } from './workspace-tree.ts'

const GUIDE = 'docs/guide/escrow.md'
const REFERENCE = 'docs/reference/escrow.md'

test('the guide, typed as it stands, seals a KEK twice, opens both and recovers it for a key source', async () => {
  const tree = workspaceTree({})
  onTestFinished(tree.remove)
  const programs = fencesOf(GUIDE).flatMap(({ language, text }) => {
    const [, file] = /^\/\/ (\S+\.ts)\n/.exec(text) ?? []
    return language === 'ts' && file !== undefined ? [{ file, text }] : []
  })
  for (const { file, text } of programs) writeFileSync(join(tree.root, file), text)
  expect(programs.map(({ file }) => file)).toEqual([
    'escrow-keys.ts',
    'seal-kek.ts',
    'seal-with-passphrase.ts',
    'open-kek.ts',
  ])

  const shell = new Shell({ cwd: tree.root, env: { NODE_OPTIONS: '--conditions=@talos/source' } })
  const steps = stepsOf(GUIDE, ({ language }) => language !== 'ts')
  expect(steps).toHaveLength(5)
  expect(steps.filter(({ answer }) => answer !== null)).toHaveLength(4)
  await shell.run('umask 077')
  let kekText = ''
  for (const step of steps) {
    await runStep(shell, step, step.commands.text)
    kekText = (await shell.run('printf %s "$TALOS_KEK_v2"')).printed() || kekText
  }

  const environment = { TALOS_KEK_v2_FILE: join(tree.root, 'talos-kek-v2'), TALOS_CURRENT_KEK_ID: 'v2' }
  expect(kekText).toHaveLength(43)
  expect(readFileSync(environment.TALOS_KEK_v2_FILE, 'utf8')).toBe(kekText)
  const keys = environmentKeys({ environment })
  await using vault = await openVault({ store: new MemoryStore(), keys, namespace: 'gateway' })
  expect(vault.ready).toBe(true)
}, 120_000)

const [forPassphrase = '', forRecipient = ''] = fencesOf(REFERENCE)
  .filter(({ text }) => text.startsWith('-----BEGIN'))
  .map(({ text }) => text)
const [, PASSPHRASE = ''] = /^\| passphrase \| `([^`]+)`/m.exec(readMarkdown(REFERENCE)) ?? []

test('the known answers of the specification open, and give the KEK it names', async () => {
  const [, kek = ''] = /KEK `([0-9a-f]{64})` with the id `v1`/.exec(readMarkdown(REFERENCE)) ?? []
  const [, privateKey = ''] = /^\| as text \| `([^`]+)` \|$/m.exec(readMarkdown(REFERENCE)) ?? []
  for (const [text, opener] of [
    [forPassphrase, { passphrase: PASSPHRASE }],
    [forRecipient, { privateKey }],
  ] as const) {
    using opened = await openKek(text, opener)
    expect(Buffer.from(opened.kek).toString('hex')).toBe(kek)
  }
}, 60_000)

test('the alterations that the specification lists are answered as it says', async () => {
  const edit = (from: string | RegExp, to: string): string => forPassphrase.replace(from, to)
  const malformed = [
    forPassphrase.slice(0, -1),
    `${forPassphrase}\n`,
    forPassphrase.replaceAll('\n', '\r\n'),
    edit('kek-id: v1', 'kek-id: v1 '),
    edit('\n\n', '\n'),
    forPassphrase.replaceAll('V1', 'V2'),
    ...[
      edit('kek-id: v1', 'kek-id: V1'),
      edit('2026-05-04', '2026-02-30'),
      edit('N=131072', 'N=65536'),
      edit('N=131072', 'N=1048576'),
      edit('p=1', 'p=2'),
    ].flatMap((text) => [text, withCheck(text)]),
    edit('\nQEFC', '\nREFC'),
  ]
  const notOpened = [edit('\nQEFC', '\nREFC'), edit('kek-id: v1', 'kek-id: v2'), edit('N=131072', 'N=262144')]
  const answers = async (texts: readonly string[]): Promise<Set<string>> => {
    const codes = new Set<string>()
    for (const text of texts) {
      expect(text).not.toBe(forPassphrase)
      const error: unknown = await openKek(text, { passphrase: PASSPHRASE }).catch(
        (thrown: unknown) => thrown,
      )
      codes.add(isEnvelopeError(error) ? error.code : 'opened')
    }
    return codes
  }
  expect(await answers(malformed)).toEqual(new Set(['ERR_ESCROW_MALFORMED']))
  expect(await answers(notOpened.map(withCheck))).toEqual(new Set(['ERR_ESCROW_NOT_OPENED']))
}, 60_000)

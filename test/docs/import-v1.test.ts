import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fencesOf, repository } from './markdown.ts'
import { workspaceTree } from './workspace-tree.ts'

interface Opening {
  readonly id: string
  readonly envelope: string
  readonly given: { readonly kek_id: string; readonly key_b64u: string; readonly aad_utf8: string }
}

const vectors = readFileSync(join(repository, 'packages/envelope/vectors/talos-v1.json'), 'utf8')
const { open } = JSON.parse(vectors) as { readonly open: readonly Opening[] }

function opening(wanted: string): Opening {
  const found = open.find(({ id }) => id === wanted)
  if (found === undefined) throw new Error(`The vectors hold no "${wanted}".`)
  return found
}

/** Runs the guide's migration twice over these rows, with a value put by hand in between. */
const PROGRAM = `
import { generateKek, environmentKeys, MemoryStore, openVault } from '@talos/envelope'
import { importRows } from './import-rows.ts'
const { rows, oldKeys } = JSON.parse(process.env.MIGRATION)
const keys = environmentKeys({ environment: { TALOS_KEK_v2: generateKek(), TALOS_CURRENT_KEK_ID: 'v2' } })
const vault = await openVault({ store: new MemoryStore(), keys, namespace: 'gateway' })
const bytes = new Map(oldKeys.map(([kekId, key]) => [kekId, Buffer.from(key, 'base64url')]))
const first = await importRows(vault, Readable.from(rows), bytes)
await vault.put(rows[0].name, 'by hand')
const second = await importRows(vault, Readable.from(rows), bytes)
const value = (await vault.get(rows[0].name)).text()
await vault.close()
console.log(JSON.stringify({ first, second, value }))
`

test('the migration of the guide imports newer and older rows, names what it cannot, and may be repeated', () => {
  const newer = opening('one-byte')
  const older = opening('older')
  const damaged = older.envelope.replace(/(?<="tag_b64u":")./, 'A')
  const rows = [
    { id: '1', name: 'openai/prod', envelope: older.envelope },
    { id: newer.given.aad_utf8.replace('talos.secret.v1:', ''), name: 'newer', envelope: newer.envelope },
    { id: '3', name: 'damaged', envelope: damaged },
    { id: '4', name: 'no-envelope', envelope: '{}' },
  ]
  const oldKeys = [older, newer].map(({ given }) => [given.kek_id, given.key_b64u])
  const [snippet] = fencesOf('docs/guide/import-v1.md').filter(({ language }) => language === 'ts')
  const program = `import { Readable } from 'node:stream'\n${PROGRAM}`
  const tree = workspaceTree({ 'import-rows.ts': snippet?.text ?? '', 'migrate.mjs': program })
  try {
    const ended = spawnSync(process.execPath, ['--conditions=@talos/source', 'migrate.mjs'], {
      cwd: tree.root,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], MIGRATION: JSON.stringify({ rows, oldKeys }) },
    })
    expect(ended.stderr.split('\n').filter((line) => /^\d /.test(line))).toEqual([
      '3 ERR_DECRYPT_FAILED payload_corrupt',
      '4 ERR_ENVELOPE_MALFORMED malformed',
      '3 ERR_DECRYPT_FAILED payload_corrupt',
      '4 ERR_ENVELOPE_MALFORMED malformed',
    ])
    expect(JSON.parse(ended.stdout)).toEqual({
      first: { created: 2, replaced: 0, conflict: 0, failed: 2 },
      second: { created: 0, replaced: 0, conflict: 2, failed: 2 },
      value: 'by hand',
    })
  } finally {
    tree.remove()
  }
})

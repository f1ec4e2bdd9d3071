import { readFileSync } from 'node:fs'
import { environmentKeys, isEnvelopeError, openVault, type SecretVault } from '@talos/envelope'
import { openStore } from '../open-store.ts'
import { check } from './checks.ts'
import { type Keks, keyEnvironment } from './keks.ts'
import { openSecrets, readRecords } from './records.ts'
import type { World } from './world.ts'

const VECTORS = new URL('../../../packages/envelope/vectors/talos-v1.json', import.meta.url)
const NAME = 'imported/test-id-123'

interface PublishedRecord {
  readonly envelope: string
  readonly given: { readonly kek_id: string; readonly key_b64u: string; readonly aad_utf8: string }
  readonly value_b64u: string
}

/** Imports the record that Talos v1 published, whose key has the id of the KEK that was just removed, and other bytes. */
export async function importPublishedRecord(world: World, keks: Keks, currentKekId: string): Promise<void> {
  const { screen, evidence, database } = world
  const { envelope, given, value_b64u } = publishedRecord()
  const value = Buffer.from(value_b64u, 'base64url')
  const key = Buffer.from(given.key_b64u, 'base64url')
  evidence.watch('the imported value', value)
  const keys = [{ kekId: given.kek_id, key, aad: given.aad_utf8 }]

  await withVault(database, keyEnvironment(keks, currentKekId), async (vault) => {
    const refusal = await vault.import(envelope, { name: NAME, keys }).catch((error: unknown) => error)
    check(
      isEnvelopeError(refusal) && refusal.code === 'ERR_KEY_CONFIGURATION',
      'the published key, 32 equal bytes, was taken without a word',
    )
    screen.fact(`its key is 32 equal bytes, and refused: ${refusal.code}`)
    screen.command(`vault.import(row, { name: '${NAME}', keys, insecureAllowWeakKey: true })`)
    const options = { name: NAME, keys, insecureAllowWeakKey: true }
    const { outcome } = await vault.import(envelope, options)
    const again = await vault.import(envelope, options)
    screen.fact(
      `answered with "${outcome}"; a second time with "${again.outcome}", and nothing is overwritten`,
    )
    check(outcome === 'created' && again.outcome === 'conflict', 'the import did not answer as it should')
  })

  const opened = await openSecrets(database, keks, currentKekId, [NAME])
  check(opened.get(NAME)?.value === value.toString(), 'the imported secret has another value')
  const record = (await readRecords(database, keks)).get(NAME)
  check(record?.kekId === currentKekId, `the imported record is not under ${currentKekId}`)
  screen.fact(`it opens to the published value, under ${record.kekId} and a DEK of its own`)
}

function publishedRecord(): PublishedRecord {
  const { open } = JSON.parse(readFileSync(VECTORS, 'utf8')) as { open: readonly PublishedRecord[] }
  const [published] = open
  check(published !== undefined, 'the vectors of Talos v1 are empty')
  return published
}

async function withVault(
  database: string,
  environment: Readonly<Record<string, string>>,
  use: (vault: SecretVault) => Promise<void>,
): Promise<void> {
  const { store, close } = await openStore(database)
  try {
    const keys = environmentKeys({ environment })
    const vault = await openVault({ store, keys, namespace: 'gateway' })
    try {
      await use(vault)
    } finally {
      await vault.close()
    }
  } finally {
    await close()
  }
}

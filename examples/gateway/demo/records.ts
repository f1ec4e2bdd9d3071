import { createDecipheriv, createHash } from 'node:crypto'
import { environmentKeys, openVault, type SecretStore } from '@talos/envelope'
import { openStore } from '../open-store.ts'
import { type Keks, kekBytes, keyEnvironment } from './keks.ts'
import type { Written } from './ledger.ts'

/** One stored record, seen without the library: its DEK by node:crypto, its ciphertext by digest. */
export interface RecordFacts {
  readonly kekId: string
  readonly dek: Buffer
  readonly sealedDigest: string
}

/** Looks at every record of a database, whether a gateway is running on it or not. */
export function readRecords(database: string, keks: Keks): Promise<ReadonlyMap<string, RecordFacts>> {
  return withStore(database, async (store) => {
    const records = new Map<string, RecordFacts>()
    for await (const names of pagesOfNames(store)) {
      for (const record of await store.read(names)) {
        if (record === null) continue
        const { kekId, dek } = unwrapDek(record.wrap, keks)
        const sealedDigest = createHash('sha256').update(record.sealed).digest('hex')
        records.set(record.name, { kekId, dek, sealedDigest })
      }
    }
    return records
  })
}

/** Opens secrets with the library, under these KEKs alone. */
export function openSecrets(
  database: string,
  keks: Keks,
  currentKekId: string,
  names: readonly string[],
): Promise<ReadonlyMap<string, Written>> {
  return withStore(database, async (store) => {
    const keys = environmentKeys({ environment: keyEnvironment(keks, currentKekId) })
    const vault = await openVault({ store, keys, namespace: 'gateway' })
    try {
      const opened = new Map<string, Written>()
      for (let start = 0; start < names.length; start += 100) {
        for (const secret of await vault.getMany(names.slice(start, start + 100))) {
          if (secret !== null) opened.set(secret.name, { value: secret.text(), version: secret.version })
        }
      }
      return opened
    } finally {
      await vault.close()
    }
  })
}

async function withStore<T>(database: string, use: (store: SecretStore) => Promise<T>): Promise<T> {
  const { store, close } = await openStore(database)
  try {
    return await use(store)
  } finally {
    await close()
  }
}

async function* pagesOfNames(store: SecretStore): AsyncGenerator<readonly string[]> {
  let cursor: string | null = null
  do {
    const page = await store.scan({ cursor, limit: 100 })
    yield page.items.map((header) => header.name)
    cursor = page.next
  } while (cursor !== null)
}

/**
 * Opens a wrap text, `talos:v2:<kek_id>:<wrap>`, by AES-256-KW (RFC 3394): `wrap` is suite (2 bytes), fingerprint (8),
 * commitment (32) and the wrapped DEK (40). With node:crypto and not the library: it is the library that is checked.
 */
function unwrapDek(wrapText: string, keks: Keks): { kekId: string; dek: Buffer } {
  const [, , kekId = '', wrap = ''] = wrapText.split(':')
  const kek = keks[kekId]
  if (kek === undefined)
    throw new Error(`a record is under KEK "${kekId}", which is not among those looked for`)
  const wrappedDek = Buffer.from(wrap, 'base64url').subarray(42)
  const decipher = createDecipheriv('id-aes256-wrap', kekBytes(kek), Buffer.alloc(8, 0xa6))
  return { kekId, dek: Buffer.concat([decipher.update(wrappedDek), decipher.final()]) }
}

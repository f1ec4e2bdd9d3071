import {
  type Change,
  createCodec,
  explicitKeys,
  type RotationOperation,
  type SecretStore,
  type SecretVault,
  type StoredSecret,
} from '@talos/envelope'
import { KEKS, openInstance } from './instances.ts'

const AT_ONCE = 1_000

/** Writes secrets under `v1` as a vault would have written them, as the first instance of their store. Their value is their name. */
export async function writeSome(store: SecretStore, names: readonly string[]): Promise<void> {
  const first = await openInstance(store, ['v1'])
  await first.close()
  const keks = { v1: Uint8Array.from(KEKS.v1) }
  const codec = await createCodec({ keys: explicitKeys({ keks, currentKekId: 'v1' }) })
  const at = '2030-01-01T00:00:00.000Z'
  const meta = JSON.stringify({ version: 1, context: {}, createdAt: at, updatedAt: at, rewrappedAt: null })
  for (let from = 0; from < names.length; from += AT_ONCE) {
    const changes: Change[] = []
    for (const name of names.slice(from, from + AT_ONCE)) {
      const envelope = await codec.wrap(name, { namespace: 'gateway', name })
      const end = envelope.lastIndexOf(':')
      const sealed = new Uint8Array(Buffer.from(envelope.slice(end + 1), 'base64url'))
      changes.push({ kind: 'create', secret: { name, wrap: envelope.slice(0, end), meta, sealed } })
    }
    await writeAll(store, changes)
  }
}

/**
 * Puts a record into the place of the one that has its name, behind every vault's back. It is deleted first: a store compares
 * wrap texts only, and would leave a record alone that differs in something else.
 */
export async function overwrite(store: SecretStore, secret: StoredSecret): Promise<void> {
  const { name, wrap } = await readOne(store, secret.name)
  await writeAll(store, [{ kind: 'delete', expectedWrap: wrap, name }])
  await writeAll(store, [{ kind: 'create', secret }])
}

/** Reads one record that is there. */
export async function readOne(store: SecretStore, name: string): Promise<StoredSecret> {
  const [secret = null] = await store.read([name])
  if (secret === null) throw new Error(`there is no record ${name}`)
  return secret
}

/** Waits until an operation has ended or is paused. */
export async function settled(vault: SecretVault, id: string): Promise<RotationOperation> {
  let last: RotationOperation | null = null
  for await (const operation of vault.rotations.follow(id, { everyMs: 50 })) {
    last = operation
    if (operation.status === 'paused') break
  }
  if (last === null) throw new Error('there is no such rotation')
  return last
}

/** The names among these whose secrets do not open as what was written. */
export async function unreadable(vault: SecretVault, names: readonly string[]): Promise<string[]> {
  const found: string[] = []
  for (let from = 0; from < names.length; from += 100) {
    const part = names.slice(from, from + 100)
    const secrets = await vault.getMany(part)
    for (const [index, name] of part.entries()) if (secrets[index]?.text() !== name) found.push(name)
  }
  return found
}

export function numbered(prefix: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, n) => `${prefix}-${String(n).padStart(6, '0')}`)
}

async function writeAll(store: SecretStore, changes: readonly Change[]): Promise<void> {
  const guard = (await store.readDocument('keyring'))?.revision ?? 0
  const outcomes = await store.write(guard, changes)
  if (outcomes.some((outcome) => outcome !== 'done')) throw new Error('a record was not written')
}

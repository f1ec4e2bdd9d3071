import {
  type AuditSink,
  explicitKeys,
  MemoryStore,
  openVault,
  type SecretStore,
  type SecretVault,
  type StoredSecret,
} from '@talos/envelope'
import { CANARY_KEK, CANARY_SECRET } from '../../../../test/canaries.ts'

const OTHER_KEK = Uint8Array.from({ length: 32 }, (_, index) => (index * 37 + 11) % 256)
const KEKS = { v1: CANARY_KEK, v2: OTHER_KEK } as const

/** A real store whose calls a test can fail or hold. */
export interface TestStore {
  readonly store: SecretStore
  /** Runs before every call; what it throws the call throws. */
  before: ((method: string, args: readonly unknown[]) => void | Promise<void>) | undefined
}

/** The wrapped DEKs of every write of this test file, which no answer may contain. */
export const wrapsWritten = new Set<string>()

export function testStore(): TestStore {
  const inner = new MemoryStore({ level: 'strong' })
  const store = new Proxy<SecretStore>(inner, {
    get(target, property: keyof SecretStore) {
      const method = target[property] as ((...args: unknown[]) => Promise<unknown>) | undefined
      if (method === undefined) return undefined
      return async (...args: unknown[]) => {
        await handle.before?.(property, args)
        if (property === 'write') {
          for (const change of args[1] as readonly { readonly secret?: StoredSecret }[]) {
            if (change.secret !== undefined) wrapsWritten.add(change.secret.wrap.slice('talos:v2:v1:'.length))
          }
        }
        return await method.apply(target, args)
      }
    },
  })
  const handle: TestStore = { store, before: undefined }
  return handle
}

export interface TestVaultOptions {
  readonly current?: 'v1' | 'v2'
  /** The KEKs it holds. @defaultValue the current one and v1 */
  readonly holds?: readonly ('v1' | 'v2')[]
  /** @defaultValue the store */
  readonly audit?: AuditSink
}

export function openTestVault({ store }: TestStore, options: TestVaultOptions = {}): Promise<SecretVault> {
  const { current = 'v1', holds = ['v1', current], audit } = options
  return openVault({
    store,
    keys: explicitKeys({
      currentKekId: current,
      keks: Object.fromEntries(holds.map((id) => [id, KEKS[id]])),
    }),
    namespace: 'gateway',
    ...(audit === undefined ? {} : { audit }),
  })
}

/** Opens a vault under v1, stores secrets with a canary as their value, and closes it. */
export async function seed(store: TestStore, count = 3): Promise<readonly string[]> {
  await using vault = await openTestVault(store)
  const names = Array.from({ length: count }, (_, index) => `openai/key-${index}`)
  for (const name of names) await vault.put(name, `${CANARY_SECRET}-${name}`)
  return names
}

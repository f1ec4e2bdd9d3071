import {
  explicitKeys,
  type OpenVaultOptions,
  openVault,
  type SecretStore,
  type SecretVault,
} from '@talos/envelope'
import { V1, V2 } from '../../packages/envelope/test/support/vaults.ts'

/** The KEKs of these tests by id. */
export const KEKS = { v1: V1, v2: V2 } as const

export type KekId = keyof typeof KEKS

/** Heartbeats and takeovers of tests are as quick as that. */
export const LEASE_MS = 1_000

/** The KEKs as the settings of a process carry them. */
export function kekTexts(): Readonly<Record<KekId, string>> {
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')
  return { v1: text(KEKS.v1), v2: text(KEKS.v2) }
}

/** Opens an instance that holds some KEKs and wishes the last of them. */
export function openInstance(
  store: SecretStore,
  kekIds: readonly KekId[],
  options: Partial<OpenVaultOptions> = {},
): Promise<SecretVault> {
  return openVault({
    store,
    namespace: 'gateway',
    keys: explicitKeys({
      keks: Object.fromEntries(kekIds.map((id) => [id, Uint8Array.from(KEKS[id])])),
      currentKekId: kekIds.at(-1) ?? '',
    }),
    leaseMs: LEASE_MS,
    ...options,
  })
}

import {
  explicitKeys,
  type KeySource,
  MemoryStore,
  type OpenVaultOptions,
  type SecretVault,
} from '@talos/envelope'
import { openInstrumentedVault, type TelemetryOptions } from '@talos/envelope-otel'
import { onTestFinished } from 'vitest'

/** Fixed bytes that pass the checks for weak keys; another number, other bytes. */
export function kekBytes(number: number): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, index) => (index * 7 + number * 37 + 129) % 256)
}

export function keys(currentKekId: string, ...kekIds: readonly string[]): KeySource {
  const held = [currentKekId, ...kekIds].map((id) => [id, kekBytes(Number(id.slice(1)))])
  return explicitKeys({ currentKekId, keks: Object.fromEntries(held) })
}

/** Opens an instrumented vault on a memory store of its own, unless told otherwise. */
export async function open(
  telemetry: TelemetryOptions = {},
  options: Partial<OpenVaultOptions> = {},
): Promise<SecretVault> {
  const store = options.store ?? new MemoryStore({ level: 'strong' })
  const vault = await openInstrumentedVault(
    { keys: keys('v1'), namespace: 'gateway', ...options, store },
    telemetry,
  )
  onTestFinished(() => vault.close())
  return vault
}

import type { SecretVault } from '@talos/envelope'
import type { AdminResponse } from '../exchange.ts'

/** Makes the handler of `GET /healthz`: readiness by the vault's last look, which costs the store nothing. */
export function readHealth(vault: SecretVault) {
  return async (): Promise<AdminResponse> => {
    const { ready } = vault
    return { status: ready ? 200 : 503, body: { ready } }
  }
}

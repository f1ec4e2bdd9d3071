import type { SecretVault, VaultStatus } from '@talos/envelope'
import type { AdminResponse } from '../exchange.ts'
import type { InstanceListBody } from '../schemas/fleet.ts'

/** Makes the handler of `GET /instances`. */
export function listInstances(vault: SecretVault) {
  return async (): Promise<AdminResponse> => ({ status: 200, body: describeInstances(await vault.status()) })
}

/** The fleet, compared with the keyring document. */
export function describeInstances({ epoch, fleet }: VaultStatus): InstanceListBody {
  return {
    epoch,
    instances: fleet.map((instance) => ({
      instance_id: instance.instanceId,
      process: instance.process,
      role: instance.role,
      state: instance.state,
      age_ms: instance.ageMs,
      started_at: instance.startedAt,
      epoch_seen: instance.epochSeen,
      wished_kek_id: instance.wishedKekId,
      keks: { ...instance.keks },
      agrees: instance.agrees,
    })),
  }
}

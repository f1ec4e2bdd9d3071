import type { InstanceStatus, SecretVault, VaultStatus, WaitingFor } from '@talos/envelope'
import type { AdminRequest, AdminResponse } from '../exchange.ts'

/** Makes the handler of `GET /kek-status`. */
export function readKekStatus(vault: SecretVault) {
  return async ({ anonymous }: AdminRequest): Promise<AdminResponse> => {
    const status = await vault.status()
    return { status: 200, body: anonymous ? describeCounts(status) : describeStatus(status) }
  }
}

/** Counts and states: what the older runbook polls without a token. */
function describeCounts(status: VaultStatus): Record<string, unknown> {
  const { level, asOf, records, atLeast } = status.counts
  return {
    ready: status.ready,
    current_kek_id: status.currentKekId,
    target_kek_id: status.targetKekId,
    pending: status.pending === null ? null : { kek_id: status.pending.kekId },
    loaded_kek_ids: status.loadedKekIds,
    stale_counts: status.staleCounts,
    counts: { level, as_of: asOf, records, at_least: atLeast },
  }
}

function describeStatus(status: VaultStatus): Record<string, unknown> {
  const { pending } = status
  return {
    ...describeCounts(status),
    pending:
      pending === null
        ? null
        : { kek_id: pending.kekId, waiting_for: pending.waitingFor.map(describeWaiting) },
    namespace: status.namespace,
    instance_id: status.instanceId,
    epoch: status.epoch,
    wished_kek_id: status.wishedKekId,
    reasons: status.reasons.map((reason) => ({
      code: reason.code,
      message: reason.message,
      kek_id: reason.kekId,
      fingerprint: reason.fingerprint,
    })),
    notices: status.notices,
    keks: status.keks.map((kek) => ({
      id: kek.id,
      state: kek.state,
      fingerprint: kek.fingerprint,
      loaded: kek.loaded,
      records: kek.records,
    })),
    fleet: describeFleet(status.fleet),
  }
}

/** How many instances there are, and how many of the live ones stand in the way of a change. */
function describeFleet(fleet: readonly InstanceStatus[]): Record<string, number> {
  const live = fleet.filter(({ state }) => state === 'live')
  const disagreeing = live.filter(({ role, agrees }) => role !== 'observer' && !agrees)
  return { live: live.length, silent: fleet.length - live.length, disagreeing: disagreeing.length }
}

/** An instance that a promotion waits for, in the API's spelling. */
export function describeWaiting(waiting: WaitingFor): Record<string, unknown> {
  return {
    instance_id: waiting.instanceId,
    process: waiting.process,
    reason: waiting.reason,
    message: waiting.message,
  }
}

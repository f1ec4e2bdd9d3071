import type { InstanceStatus, SecretVault, VaultStatus, WaitingFor } from '@talos/envelope'
import type { AdminRequest, AdminResponse } from '../exchange.ts'
import type { WaitingInstance } from '../schemas/fields.ts'
import type { KekCountsBody, KekStatusBody } from '../schemas/keks.ts'

/** Makes the handler of `GET /kek-status`. */
export function readKekStatus(vault: SecretVault) {
  let looking: Promise<VaultStatus> | null = null
  // A status counts records: callers without a token, who are not limited, cause one at a time.
  const lookTogether = (): Promise<VaultStatus> => {
    looking ??= vault.status().finally(() => {
      looking = null
    })
    return looking
  }
  return async ({ anonymous }: AdminRequest): Promise<AdminResponse> => {
    if (anonymous) return { status: 200, body: describeCounts(await lookTogether()) }
    return { status: 200, body: describeKeks(await vault.status()) }
  }
}

/** Counts and states: what the older runbook polls without a token. */
function describeCounts(status: VaultStatus): KekCountsBody {
  const { level, asOf, records, atLeast } = status.counts
  return {
    ready: status.ready,
    current_kek_id: status.currentKekId,
    target_kek_id: status.targetKekId,
    pending: status.pending === null ? null : { kek_id: status.pending.kekId },
    loaded_kek_ids: [...status.loadedKekIds],
    stale_counts: status.staleCounts,
    counts: { level, as_of: asOf, records, at_least: [...atLeast] },
  }
}

/** What `GET /kek-status` answers to those with the role. */
export function describeKeks(status: VaultStatus): KekStatusBody {
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
    notices: [...status.notices],
    keks: status.keks.map((kek) => ({
      id: kek.id,
      state: kek.state,
      fingerprint: kek.fingerprint,
      loaded: kek.loaded,
      records: kek.records,
      promoted_at: kek.promotedAt,
      fenced_at: kek.fencedAt,
      suspended_at: kek.suspendedAt,
      retired_at: kek.retiredAt,
      compromised_at: kek.compromisedAt,
      escrowed_at: kek.escrowedAt,
    })),
    fleet: describeFleet(status.fleet),
  }
}

/** How many instances there are, and how many of the live ones stand in the way of a change. */
function describeFleet(fleet: readonly InstanceStatus[]): KekStatusBody['fleet'] {
  const live = fleet.filter(({ state }) => state === 'live')
  const disagreeing = live.filter(({ role, agrees }) => role !== 'observer' && !agrees)
  return { live: live.length, silent: fleet.length - live.length, disagreeing: disagreeing.length }
}

/** An instance that a promotion waits for, in the API's spelling. */
export function describeWaiting(waiting: WaitingFor): WaitingInstance {
  return {
    instance_id: waiting.instanceId,
    process: waiting.process,
    reason: waiting.reason,
    message: waiting.message,
  }
}

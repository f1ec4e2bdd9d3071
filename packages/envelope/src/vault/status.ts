import type { KeyringReader } from '../keyring/held-keyring.ts'
import { currentKekId, kekEntry } from '../lifecycle/keyring-document.ts'
import type { KeyringState } from '../lifecycle/keyring-state.ts'
import type { Membership } from '../lifecycle/membership.ts'
import { fencedAndNotHeld, holding } from '../lifecycle/readiness.ts'
import { type Runtime, timestamp } from '../runtime.ts'
import type { SecretStore } from '../store/secret-store.ts'
import type { Deadline } from './deadline.ts'
import type { KekStatus, VaultStatus } from './secret-vault.ts'

export interface StatusSources {
  readonly store: SecretStore
  readonly state: KeyringState
  readonly membership: Membership
  readonly keyring: KeyringReader
  readonly runtime: Runtime
  readonly namespace: string
  readonly instanceId: string
  /** What the key source has to tell, in words. */
  readonly keyNotices: readonly string[]
}

/** Looks at the store and puts together what an operator asks. */
export async function vaultStatus(sources: StatusSources, deadline: Deadline): Promise<VaultStatus> {
  const { store, state, membership, keyring, runtime } = sources
  const snapshot = await state.refresh(deadline.next())
  const pending = await membership.pending(deadline.next())
  const verdict = await membership.verdict(deadline.next())
  const { level } = await store.identify(deadline.next())
  const asOf = timestamp(runtime)
  const census = await store.census(deadline.next())
  membership.assess(census)
  const reasons = membership.reasons
  const current = snapshot === null ? null : currentKekId(snapshot.document)
  const target = pending?.kekId ?? current
  const keks = kekStatuses(sources, census)
  const stale = new Set([...keks.map(({ id }) => id), ...census.keys()])
  if (target !== null) stale.delete(target)
  return {
    ready: reasons.length === 0,
    reasons,
    namespace: sources.namespace,
    instanceId: sources.instanceId,
    epoch: snapshot?.document.epoch ?? null,
    currentKekId: current,
    targetKekId: target,
    wishedKekId: keyring.wishedKekId,
    pending: pending === null ? null : { kekId: pending.kekId, waitingFor: pending.waitingFor },
    notices: [
      ...(verdict.kind === 'blocked' ? verdict.reasons : supersededNotices(sources, current)),
      ...removedNotices(sources, census),
      ...membership.notices,
      ...sources.keyNotices,
    ],
    loadedKekIds: keyring.ids,
    keks,
    staleCounts: Object.fromEntries([...stale].sort().map((id) => [id, census.get(id) ?? 0])),
    counts: { level, asOf, records: [...census.values()].reduce((sum, count) => sum + count, 0) },
  }
}

function kekStatuses({ state, keyring }: StatusSources, census: ReadonlyMap<string, number>): KekStatus[] {
  const document = state.snapshot?.document
  const bound = document === undefined ? [] : Object.keys(document.keks)
  return [...new Set([...bound, ...keyring.ids])].sort().map((id) => {
    const entry = document === undefined ? undefined : kekEntry(document, id)
    const loaded = document === undefined || holding(keyring, document, id) === 'held'
    const fingerprint = entry?.fingerprint ?? keyring.get(id)?.fingerprint ?? ''
    return { id, state: entry?.state ?? 'provisioned', fingerprint, loaded, records: census.get(id) ?? 0 }
  })
}

/** An instance that has not been restarted since the promotion works as it should and carries an old configuration. */
function supersededNotices({ state, keyring }: StatusSources, current: string | null): string[] {
  const wished = keyring.wishedKekId
  const document = state.snapshot?.document
  if (wished === current || document === undefined || kekEntry(document, wished) === undefined) return []
  return [
    `"${current}" has become current after "${wished}", which the key source of this instance still names.`,
  ]
}

/** A fenced KEK that is gone and that no record needs is told, and keeps nobody from being ready. */
function removedNotices({ state, keyring }: StatusSources, census: ReadonlyMap<string, number>): string[] {
  const document = state.snapshot?.document
  if (document === undefined) return []
  return fencedAndNotHeld(keyring, document)
    .filter((id) => (census.get(id) ?? 0) === 0 && keyring.get(id) === undefined)
    .map((id) => `KEK "${id}" is not loaded here and no secret is under it: removed, not retired.`)
}

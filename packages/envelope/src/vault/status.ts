import type { KeyringReader } from '../keyring/held-keyring.ts'
import { agreement } from '../lifecycle/fleet-agreement.ts'
import { currentKekId, kekEntry } from '../lifecycle/keyring-document.ts'
import type { KeyringState } from '../lifecycle/keyring-state.ts'
import type { Membership } from '../lifecycle/membership.ts'
import { fencedAndNotHeld, holding } from '../lifecycle/readiness.ts'
import { storeNotices } from '../lifecycle/store-notices.ts'
import { type Runtime, timestamp } from '../runtime.ts'
import type { SecretStore } from '../store/secret-store.ts'
import type { Deadline } from './deadline.ts'
import type { KekStatus, VaultStatus } from './vault-status.ts'

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

/** Where a status stops counting: more records than this under one KEK lead to the same next step. */
const MOST_COUNTED = 100_000
/** The same for the target: its number decides nothing, and nearly everything is under it. */
const MOST_COUNTED_OF_TARGET = 10_000

/** Looks at the store and puts together what an operator asks. */
export async function vaultStatus(sources: StatusSources, deadline: Deadline): Promise<VaultStatus> {
  const { store, state, membership, keyring, runtime } = sources
  const snapshot = await state.refresh(deadline.next())
  const { fleet, pending, verdict } = await membership.survey(deadline.next())
  const current = snapshot === null ? null : currentKekId(snapshot.document)
  const target = pending?.kekId ?? current
  const asOf = timestamp(runtime)
  const upToOf = target === null ? {} : { [target]: MOST_COUNTED_OF_TARGET }
  const [{ level, incarnation }, census] = await Promise.all([
    store.identify(deadline.next()),
    store.census({ ...deadline.next(), upTo: MOST_COUNTED, upToOf }),
  ])
  membership.assess(census)
  const reasons = membership.reasons
  const keks = kekStatuses(sources, census)
  const stale = new Set([
    ...keks.filter(({ state: of }) => of !== 'retired').map(({ id }) => id),
    ...census.keys(),
  ])
  if (target !== null) stale.delete(target)
  const cutOff = ([id, count]: readonly [string, number]): boolean =>
    count === (upToOf[id] ?? MOST_COUNTED) + 1
  const atLeast = [...census].filter(cutOff).map(([id]) => id)
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
      ...storeNotices(state, incarnation),
      ...membership.notices,
      ...sources.keyNotices,
    ],
    loadedKekIds: keyring.ids,
    keks,
    staleCounts: Object.fromEntries([...stale].sort().map((id) => [id, census.get(id) ?? 0])),
    counts: {
      level,
      asOf,
      records: [...census.values()].reduce((sum, count) => sum + count, 0),
      atLeast: atLeast.sort(),
    },
    fleet: agreement(snapshot?.document ?? null, fleet, [
      ...(current === null ? [] : [current]),
      ...census.keys(),
    ]),
  }
}

function kekStatuses({ state, keyring }: StatusSources, census: ReadonlyMap<string, number>): KekStatus[] {
  const document = state.snapshot?.document
  const bound = document === undefined ? [] : Object.keys(document.keks)
  return [...new Set([...bound, ...keyring.ids])].sort().map((id) => {
    const entry = document === undefined ? undefined : kekEntry(document, id)
    const loaded = document === undefined || holding(keyring, document, id) === 'held'
    const fingerprint = entry?.fingerprint ?? keyring.get(id)?.fingerprint ?? ''
    return {
      id,
      state: entry?.state ?? 'provisioned',
      fingerprint,
      loaded,
      records: census.get(id) ?? 0,
      promotedAt: entry?.promotedAt ?? null,
      fencedAt: entry?.fence?.at ?? null,
      suspendedAt: entry?.suspendedAt ?? null,
      retiredAt: entry?.retiredAt ?? null,
      compromisedAt: entry?.compromisedAt ?? null,
      escrowedAt: entry?.escrowedAt ?? null,
    }
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
    .map(
      (id) =>
        `KEK "${id}" is not loaded here and no secret is under it: removed, not retired. Retire it with vault.keks.retire().`,
    )
}

import { heldBy, type InstanceReport } from './fleet.ts'
import { currentKekId, type KeyringDocument, kekEntry } from './keyring-document.ts'

/** Why an instance keeps a KEK from becoming current. */
export type WaitingReason =
  | 'kek_missing'
  | 'other_bytes'
  | 'decrypt_only'
  | 'untested'
  | 'other_wish'
  | 'unreadable'

/** An instance that a promotion waits for. */
export interface WaitingFor {
  readonly instanceId: string
  /** The process as operators know it, such as `web-1/4711`. */
  readonly process: string
  readonly reason: WaitingReason
  /** The reason in words, with what to do. */
  readonly message: string
}

/** What rule P says of a wished KEK. */
export type PromotionVerdict =
  /** It is current already. */
  | { readonly kind: 'current' }
  /** It can never become current. */
  | { readonly kind: 'blocked'; readonly reasons: readonly string[] }
  /** It becomes current once these instances have followed, said goodbye or lost their lease. */
  | { readonly kind: 'waiting'; readonly waitingFor: readonly WaitingFor[] }
  | { readonly kind: 'ready' }

/** What the promotion of one KEK looks like to somebody who waits for it. */
export interface PromotionOutlook {
  /** Whether a live instance still wishes it. */
  readonly wished: boolean
  readonly waitingFor: readonly WaitingFor[]
}

/**
 * Rule P: a KEK may become current when every live instance holds it with the same fingerprint, may wrap under it and has
 * tested it, nobody wishes another one, and it was never current before. Observers are not asked. An instance whose report
 * cannot be read is waited for until its lease is over: what holds for every live instance is not known of it.
 *
 * @param kek - The wished KEK as its wisher holds it.
 * @param live - Reports of the live instances, the wisher's included.
 */
export function checkPromotion(
  kek: { readonly id: string; readonly fingerprint: string },
  document: KeyringDocument,
  live: readonly InstanceReport[],
): PromotionVerdict {
  const current = currentKekId(document)
  if (kek.id === current) return { kind: 'current' }
  const reasons = neverReasons(kek, document, current)
  if (reasons.length > 0) return { kind: 'blocked', reasons }
  const waitingFor = obstacles(kek, document, live)
  return waitingFor.length > 0 ? { kind: 'waiting', waitingFor } : { kind: 'ready' }
}

/** The live instances that a KEK cannot become current with, each with its first reason. */
export function obstacles(
  kek: { readonly id: string; readonly fingerprint: string },
  document: KeyringDocument,
  live: readonly InstanceReport[],
): readonly WaitingFor[] {
  return live.flatMap((instance) => obstacle(kek, document, instance) ?? [])
}

/**
 * The wished KEKs of live members that were never current, each with a fingerprint. Where members hold other bytes under one id
 * it is the one that most of them hold, a wish counting twice, and of two as many that of the wisher that started first: so that every
 * instance waits for the same ones by name, and those are the few that differ.
 */
export function pendingWishes(
  document: KeyringDocument,
  live: readonly InstanceReport[],
): readonly { readonly id: string; readonly fingerprint: string }[] {
  const members = live
    .filter(({ role }) => role !== 'observer')
    .sort((a, b) => (a.instanceId < b.instanceId ? -1 : 1))
  const wishes = new Map<string, string>()
  for (const instance of members) {
    const { wishedKekId } = instance
    const held = heldBy(instance, wishedKekId)
    if (held !== undefined && kekEntry(document, wishedKekId) === undefined && !wishes.has(wishedKekId)) {
      const wishers = members.filter((each) => each.wishedKekId === wishedKekId)
      wishes.set(wishedKekId, mostHeld([...wishers, ...members], wishedKekId) ?? held.fingerprint)
    }
  }
  return [...wishes].map(([id, fingerprint]) => ({ id, fingerprint })).sort((a, b) => (a.id < b.id ? -1 : 1))
}

/** The fingerprint that is held most often under an id, or the first of those. */
function mostHeld(instances: readonly InstanceReport[], kekId: string): string | undefined {
  const counts = new Map<string, number>()
  for (const instance of instances) {
    const held = heldBy(instance, kekId)
    if (held !== undefined) counts.set(held.fingerprint, (counts.get(held.fingerprint) ?? 0) + 1)
  }
  const most = Math.max(...counts.values())
  return [...counts].find(([, count]) => count === most)?.[0]
}

function neverReasons(
  kek: { readonly id: string; readonly fingerprint: string },
  document: KeyringDocument,
  current: string,
): string[] {
  const reasons: string[] = []
  if (kekEntry(document, kek.id) !== undefined) {
    reasons.push(
      `KEK "${kek.id}" was current before "${current}" and an environment change never moves it back. This instance ` +
        `follows the store and wraps under "${current}". Name "${current}" or a new KEK as current.`,
    )
  }
  for (const [id, entry] of Object.entries(document.keks)) {
    if (id !== kek.id && entry.fingerprint === kek.fingerprint) {
      reasons.push(`KEK "${kek.id}" has the same bytes as "${id}". Generate new bytes for it.`)
    }
  }
  return reasons
}

function obstacle(
  kek: { readonly id: string; readonly fingerprint: string },
  document: KeyringDocument,
  instance: InstanceReport,
): WaitingFor | null {
  if (instance.role === 'observer') return null
  const who = { instanceId: instance.instanceId, process: instance.process }
  if (instance.role === 'unknown') {
    const message = `The report of ${instance.process} cannot be read here. Bring all instances to one version, or stop that process.`
    return { ...who, reason: 'unreadable', message }
  }
  const held = heldBy(instance, kek.id)
  if (held === undefined) {
    const message = `${instance.process} does not hold KEK "${kek.id}". Add it there and restart, or stop that process.`
    return { ...who, reason: 'kek_missing', message }
  }
  if (held.fingerprint !== kek.fingerprint) {
    const message =
      `${instance.process} holds other bytes under KEK id "${kek.id}" (fingerprint ${held.fingerprint}, expected ` +
      `${kek.fingerprint}). Give all instances the same bytes and restart.`
    return { ...who, reason: 'other_bytes', message }
  }
  if (!held.mayWrap) {
    const message =
      `${instance.process} marks KEK "${kek.id}" as decrypt-only. Take it off that list and restart; where it is on none, ` +
      'the same bytes were given to import, and a new KEK is needed.'
    return { ...who, reason: 'decrypt_only', message }
  }
  if (held.tested === false) {
    const message =
      `${instance.process} has not yet wrapped and unwrapped a fresh key with the key provider of KEK "${kek.id}". It tries ` +
      'again with every heartbeat; see that it reaches the provider and may use the key.'
    return { ...who, reason: 'untested', message }
  }
  const wish = instance.wishedKekId
  if (wish !== kek.id && kekEntry(document, wish) === undefined) {
    const message = `${instance.process} wishes KEK "${wish}" instead of "${kek.id}". Let all instances wish the same one.`
    return { ...who, reason: 'other_wish', message }
  }
  return null
}

import { heldBy, type InstanceReport, liveReports, type Sighting } from './fleet.ts'
import { type KeyringDocument, kekEntry } from './keyring-document.ts'

/**
 * How an instance holds a KEK. Of several the first of this order.
 *
 * - `missing`: not at all.
 * - `other_bytes`: with another fingerprint than the bound one. While none is bound: the live members differ, and nothing
 *   tells who is right.
 * - `untested`: a remote KEK that has not passed its self-test there.
 * - `decrypt_only`: it may not wrap under it. Enough for a KEK that is not current.
 * - `held`: as it should be.
 */
export type KekHolding = 'held' | 'missing' | 'other_bytes' | 'untested' | 'decrypt_only'

/** One KEK at one instance. */
export interface InstanceKek {
  readonly holding: KekHolding
  /** The fingerprint it holds: 16 hexadecimal digits; `null` when it holds none. */
  readonly fingerprint: string | null
}

/** One instance of the fleet, compared with the keyring document. */
export interface InstanceStatus {
  /** A UUIDv7. */
  readonly instanceId: string
  /** The process as operators know it, such as `web-1/4711`; the instance's id where `role` is `unknown`. */
  readonly process: string
  /**
   * `unknown`: its report cannot be read here, because another version wrote it or it is damaged. It is taken for a member
   * that holds nothing, and is live for its lease, or for ten minutes where the report does not tell that either.
   */
  readonly role: 'member' | 'observer' | 'unknown'
  /** `silent`: without a heartbeat for longer than its lease, as a killed or stopped process is. Shown for a day. */
  readonly state: 'live' | 'silent'
  /**
   * Milliseconds since its last heartbeat, by the store's clock. Where a store has none: since this instance first saw that
   * heartbeat, which is less.
   */
  readonly ageMs: number
  /** RFC 3339 UTC; `null` when unknown. */
  readonly startedAt: string | null
  /** Epoch of the keyring document it had seen at its last heartbeat; 0 for none. */
  readonly epochSeen: number
  /** The KEK its key source names as current; `null` when unknown. */
  readonly wishedKekId: string | null
  /** By KEK id: every KEK that the keyring document knows, that any instance holds or that is needed. */
  readonly keks: Readonly<Record<string, InstanceKek>>
  /** Whether it has seen this epoch and holds every KEK that is needed: the current one and those that have records. */
  readonly agrees: boolean
}

/**
 * Compares every instance with the keyring document.
 *
 * @param document - What is bound, and the epoch to have seen. Without one nobody agrees.
 * @param sightings - The instances, as `Fleet.all` reads them.
 * @param neededKekIds - The KEKs that each instance must hold, the current one among them.
 * @returns One status per sighting, by instance id: in the order of their starts.
 */
export function agreement(
  document: KeyringDocument | null,
  sightings: readonly Sighting[],
  neededKekIds: Iterable<string>,
): readonly InstanceStatus[] {
  const needed = new Set(neededKekIds)
  const bound = document === null ? [] : Object.keys(document.keks)
  const held = sightings.flatMap(({ report }) => Object.keys(report.keks))
  const kekIds = [...new Set([...bound, ...needed, ...held])].sort()
  const expected = expectedFingerprints(document, sightings, kekIds)
  const statuses = sightings.map(({ report, state, ageMs }): InstanceStatus => {
    const { instanceId, process, role = 'member', epochSeen } = report
    const isUnknown = role === 'unknown'
    const keks = kekIds.map((id) => [id, cell(report, id, expected.get(id))] as const)
    const suffices = ([id, { holding }]: (typeof keks)[number]): boolean =>
      !needed.has(id) ||
      holding === 'held' ||
      (holding === 'decrypt_only' && document !== null && kekEntry(document, id)?.state !== 'current')
    return {
      instanceId,
      process,
      role,
      state,
      ageMs,
      startedAt: isUnknown ? null : report.startedAt,
      epochSeen,
      wishedKekId: isUnknown ? null : report.wishedKekId,
      keks: Object.fromEntries(keks),
      agrees: document !== null && !isUnknown && epochSeen >= document.epoch && keks.every(suffices),
    }
  })
  return statuses.sort((a, b) => (a.instanceId < b.instanceId ? -1 : 1))
}

/** The live instances that have to agree and do not. Observers are never waited for. */
export function disagreeing(fleet: readonly InstanceStatus[]): readonly InstanceStatus[] {
  return fleet.filter(({ state, role, agrees }) => state === 'live' && role !== 'observer' && !agrees)
}

/** The bound fingerprint of each KEK; while none is bound, the one that all live members hold it with, if they agree. */
function expectedFingerprints(
  document: KeyringDocument | null,
  sightings: readonly Sighting[],
  kekIds: readonly string[],
): ReadonlyMap<string, string> {
  const members = liveReports(sightings).filter(({ role }) => role !== 'observer')
  const all = sightings.map(({ report }) => report)
  return new Map(
    kekIds.flatMap((id): [string, string][] => {
      const bound = document === null ? undefined : kekEntry(document, id)?.fingerprint
      const said = [members, all].map((among) => fingerprintsOf(among, id)).find(({ size }) => size > 0)
      const [first] = bound === undefined && said?.size === 1 ? said : [bound]
      return first === undefined ? [] : [[id, first]]
    }),
  )
}

function fingerprintsOf(reports: readonly InstanceReport[], kekId: string): ReadonlySet<string> {
  return new Set(reports.flatMap((report) => heldBy(report, kekId)?.fingerprint ?? []))
}

function cell(report: InstanceReport, kekId: string, expected: string | undefined): InstanceKek {
  const held = heldBy(report, kekId)
  if (held === undefined) return { holding: 'missing', fingerprint: null }
  const { fingerprint } = held
  if (fingerprint !== expected) return { holding: 'other_bytes', fingerprint }
  if (held.tested === false) return { holding: 'untested', fingerprint }
  return { holding: held.mayWrap ? 'held' : 'decrypt_only', fingerprint }
}

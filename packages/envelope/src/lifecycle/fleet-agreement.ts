import { heldBy, type InstanceReport, liveReports, type Sighting } from './fleet.ts'
import { type KeyringDocument, kekEntry } from './keyring-document.ts'

/**
 * How an instance holds a KEK: what comes first here.
 *
 * - `other_bytes`: not with the bound fingerprint; while none is bound, the live members differ.
 * - `untested`: without its self-test.
 * - `decrypt_only`: only to open, which is enough for a KEK that is not current.
 */
export type KekHolding = 'missing' | 'other_bytes' | 'untested' | 'decrypt_only' | 'held'

/** One KEK at one instance. */
export interface InstanceKek {
  readonly holding: KekHolding
  /** The fingerprint it holds: 16 hexadecimal digits; `null` for none. */
  readonly fingerprint: string | null
}

/** One instance of the fleet, compared with the keyring document. */
export interface InstanceStatus {
  readonly instanceId: string
  /** Such as `web-1/4711`; the instance's id when unknown. */
  readonly process: string
  /** `unknown`: its report cannot be read here, and it counts as a member that holds nothing. */
  readonly role: 'member' | 'observer' | 'unknown'
  /** `silent`: without a heartbeat for longer than its lease. Shown for a day. */
  readonly state: 'live' | 'silent'
  /** Since its last heartbeat; where the store has no clock, since this instance saw that. */
  readonly ageMs: number
  /** RFC 3339 UTC; `null` when unknown. */
  readonly startedAt: string | null
  /** Epoch at its last heartbeat; 0 for none. */
  readonly epochSeen: number
  /** `null` when unknown. */
  readonly wishedKekId: string | null
  /** By id, every KEK that the keyring document knows, any instance holds or is needed. */
  readonly keks: Readonly<Record<string, InstanceKek>>
  /** Whether it has seen this epoch and holds every needed KEK: the current one and those with records. */
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
  const held = sightings.flatMap(({ report }) => Object.keys(report.keks))
  const ids = [...new Set([...Object.keys(document?.keks ?? {}), ...needed, ...held])].sort()
  const expected = ids.map((id) => [id, expectedFingerprint(document, sightings, id)] as const)
  const statuses = sightings.map(({ report, state, ageMs }): InstanceStatus => {
    const { instanceId, role = 'member', startedAt, epochSeen, wishedKekId } = report
    const keks = expected.map(([id, fingerprint]) => [id, cell(report, id, fingerprint)] as const)
    const suffices = ([id, { holding }]: (typeof keks)[number]): boolean =>
      !needed.has(id) ||
      holding === 'held' ||
      (holding === 'decrypt_only' && document !== null && kekEntry(document, id)?.state !== 'current')
    return {
      instanceId,
      process: report.process,
      role,
      state,
      ageMs,
      startedAt: startedAt || null,
      epochSeen,
      wishedKekId: wishedKekId || null,
      keks: Object.fromEntries(keks),
      agrees: document !== null && epochSeen >= document.epoch && keks.every(suffices),
    }
  })
  return statuses.sort((a, b) => (a.instanceId < b.instanceId ? -1 : 1))
}

/** The live instances that have to agree and do not. Observers are never waited for. */
export function disagreeing(fleet: readonly InstanceStatus[]): readonly InstanceStatus[] {
  return fleet.filter(({ state, role, agrees }) => state === 'live' && role !== 'observer' && !agrees)
}

/** The bound fingerprint; while none is bound, the one that all live members hold it with, or else all instances. */
function expectedFingerprint(
  document: KeyringDocument | null,
  sightings: readonly Sighting[],
  kekId: string,
): string | undefined {
  const bound = document === null ? undefined : kekEntry(document, kekId)
  if (bound !== undefined) return bound.fingerprint
  const members = liveReports(sightings).filter(({ role }) => role !== 'observer')
  const all = sightings.map(({ report }) => report)
  for (const reports of [members, all]) {
    const said = new Set(reports.flatMap((report) => heldBy(report, kekId)?.fingerprint ?? []))
    if (said.size > 0) return said.size === 1 ? [...said][0] : undefined
  }
  return undefined
}

function cell(report: InstanceReport, kekId: string, expected: string | undefined): InstanceKek {
  const held = heldBy(report, kekId)
  if (held === undefined) return { holding: 'missing', fingerprint: null }
  const { fingerprint, tested, mayWrap } = held
  const usable = tested === false ? 'untested' : mayWrap ? 'held' : 'decrypt_only'
  return { holding: fingerprint === expected ? usable : 'other_bytes', fingerprint }
}

import type { Attributes } from '@opentelemetry/api'
import type { VaultStatus } from '@talos/envelope'
import { ATTRIBUTE, type GaugeName } from './names.ts'
import type { Look } from './status-look.ts'

/** One value of one gauge. */
export type Observation = readonly [gauge: GaugeName, value: number, attributes?: Attributes]

const ROTATION_STATUSES = ['running', 'paused', 'completed', 'failed', 'cancelled']

/**
 * What the gauges say of a look.
 *
 * @param nowMs - The wall clock, which ages are counted to.
 * @param toldKekIds - The KEKs that were told before; this look's are added. A KEK that was told once is told at every look,
 * because SDKs go on exporting the last value of a series that is not.
 */
export function observations(look: Look, nowMs: number, toldKekIds: Set<string>): readonly Observation[] {
  const { status, newestRotation } = look
  const secondsSince = (time: string): number => Math.max(0, nowMs - Date.parse(time)) / 1000
  return [
    ...records(status, toldKekIds),
    ['staleAge', Math.max(0, ...fencesWithRecords(status).map(secondsSince))],
    ...promotions(status, secondsSince),
    ...instances(status),
    ...ROTATION_STATUSES.map((of): Observation => {
      const value = newestRotation?.status === of ? 1 : 0
      return ['rotationStatus', value, { [ATTRIBUTE.rotationStatus]: of }]
    }),
    ['quarantined', newestRotation?.totals.failed ?? 0],
  ]
}

function records({ keks, staleCounts, counts }: VaultStatus, told: Set<string>): Observation[] {
  // Records may be under a KEK that the keyring document does not know.
  const recordsOf = new Map([
    ...keks.map((kek) => [kek.id, kek.records] as const),
    ...Object.entries(staleCounts),
  ])
  const retired = new Set(keks.filter(({ state }) => state === 'retired').map(({ id }) => id))
  for (const [id, count] of recordsOf) if (count > 0 || !retired.has(id)) told.add(id)
  const stale = Object.values(staleCounts).reduce((sum, count) => sum + count, 0)
  return [
    ['staleRecords', stale],
    ...[...told].sort().flatMap((id): Observation[] => {
      const attributes = { [ATTRIBUTE.kekId]: id }
      return [
        ['kekRecords', recordsOf.get(id) ?? 0, attributes],
        ['kekRecordsAtLeast', counts.atLeast.includes(id) ? 1 : 0, attributes],
      ]
    }),
  ]
}

/** When each KEK was fenced that still has records. */
function fencesWithRecords({ keks }: VaultStatus): string[] {
  return keks.flatMap(({ records: count, fencedAt }) => (count > 0 && fencedAt ? [fencedAt] : []))
}

function promotions(
  { keks, currentKekId, pending }: VaultStatus,
  secondsSince: (time: string) => number,
): Observation[] {
  const current = keks.find(({ id }) => id === currentKekId)
  return [
    ...(current?.promotedAt ? [['kekAge', secondsSince(current.promotedAt)] as const] : []),
    ['promotionPending', pending === null ? 0 : 1],
    ['promotionWaiting', pending?.waitingFor.length ?? 0],
  ]
}

function instances({ fleet }: VaultStatus): Observation[] {
  const live = fleet.filter(({ state }) => state === 'live')
  return [
    ['instances', live.length, { [ATTRIBUTE.instanceState]: 'live' }],
    ['instances', fleet.length - live.length, { [ATTRIBUTE.instanceState]: 'silent' }],
    // Nobody waits for an observer, as `disagreeing` of the admin API has it.
    ['disagreeing', live.filter(({ role, agrees }) => role !== 'observer' && !agrees).length],
  ]
}

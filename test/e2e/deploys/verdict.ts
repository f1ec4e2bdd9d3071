import { expect } from 'vitest'
import type { Instance } from './instance.ts'
import { LEASE_MS, type Stage } from './stage.ts'

/**
 * Ends all work of a scenario and holds everything that was seen against the promises: no reader fails for a KEK it holds, no
 * writer for the current KEK it holds, no acknowledged write is lost, and no write under v1 takes effect after the fence.
 *
 * @param scenario - Its name, for the figures.
 */
export async function conclude(stage: Stage, scenario: string): Promise<void> {
  const { running } = stage
  await Promise.all(running.map((instance) => instance.ask('quiet', null)))
  expect(stage.instances.flatMap((instance) => breaches(stage, instance))).toEqual([])
  expect(stage.instances.flatMap(({ wrong }) => wrong)).toEqual([])

  const complete = running.filter((instance) => opensAll(stage, instance))
  expect(complete.length).toBeGreaterThan(0)
  for (const instance of complete) {
    const read = await instance.ask('readAll', stage.ledger.names)
    expect(stage.ledger.differences(read)).toEqual([])
  }

  expect(await stage.journal.close()).toEqual([])
  const writes = await stage.journal.writes()
  expect(writes.filter(({ kekId, isAfter }) => isAfter && kekId !== 'v2')).toEqual([])
  const bytes = new Set(writes.map(({ kekId, fingerprint }) => `${kekId} ${fingerprint}`))
  const keks = new Set(writes.map(({ kekId }) => kekId))
  // One fingerprint for each id: nobody ever wrapped under other bytes.
  expect(bytes.size).toBe(keks.size)
  console.log(figures(stage, scenario, writes.filter(({ isAfter }) => isAfter).length))
  await Promise.all(running.map((instance) => instance.stop()))
}

/** When v2 became current. */
export interface Promotion {
  /** Leases since the last old process was gone. */
  readonly leases: number
  /** Whether the one that promoted it did so before its vault was open. */
  readonly isAtOpening: boolean
}

export function promotionOf({ instances, lastGoneBefore }: Stage): Promotion | null {
  const [promoter] = instances.filter(({ promotedAt }) => promotedAt.length > 0)
  const at = promoter?.promotedAt[0]
  if (promoter === undefined || at === undefined) return null
  return { leases: (at - lastGoneBefore(at)) / LEASE_MS, isAtOpening: at <= promoter.openedAt }
}

function opensAll(stage: Stage, instance: Instance): boolean {
  const { keks } = stage.templates.new
  return instance.holds('v2', keks['v2']) || (stage.promotions === 0 && instance.holds('v1', keks['v1']))
}

/** Refusals that are not for a KEK that the instance lacks. */
function breaches(stage: Stage, instance: Instance): readonly string[] {
  const { keks } = stage.templates.new
  return instance.refusals.flatMap(({ during, name, fault }) => {
    const isLacking = fault.kekId !== null && !instance.holds(fault.kekId, keks[fault.kekId])
    const holdsAnother = fault.kekId !== null && instance.environment.keks[fault.kekId] !== undefined
    const code = holdsAnother ? 'ERR_KEK_MISMATCH' : 'ERR_KEK_NOT_LOADED'
    const saysWhich = fault.message.includes(`"${fault.kekId}"`) && fault.message.includes('TALOS_KEK_')
    if (isLacking && fault.code === code && saysWhich) return []
    return [`${instance.slot}: ${during} of ${name}: ${fault.code} ${fault.message}`]
  })
}

function figures(stage: Stage, scenario: string, writesAfter: number): string {
  const { instances } = stage
  const sum = (of: (instance: Instance) => number) => instances.reduce((total, each) => total + of(each), 0)
  const own = instances.filter(({ held }) => held === null).map((each) => longestGap(each.acknowledgedAt))
  const all = longestGap(instances.flatMap(({ acknowledgedAt }) => acknowledgedAt).sort((a, b) => a - b))
  const promotion = promotionOf(stage)
  const refused = sum(({ refusals }) => refusals.length)
  return [
    `${scenario}: ${instances.length} processes`,
    `${sum(({ reads }) => reads)} reads and ${sum(({ acknowledgedAt }) => acknowledgedAt.length)} writes`,
    `${refused} refused to who lacks the KEK`,
    `longest gap between two writes of one instance ${Math.round(Math.max(...own))} ms, of all ${Math.round(all)} ms`,
    promotion === null
      ? 'no promotion'
      : `promoted ${promotion.leases.toFixed(2)} leases after the last old process was gone` +
        (promotion.isAtOpening ? ', before the vault of its restarted process was open' : ''),
    `${writesAfter} writes after the fence, none under v1, in ${stage.journal.looks} looks`,
  ].join('; ')
}

function longestGap(times: readonly number[]): number {
  return times.reduce((longest, at, n) => Math.max(longest, n === 0 ? 0 : at - (times[n - 1] ?? at)), 0)
}

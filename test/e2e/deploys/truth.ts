import type { InstanceStatus, RetirementReason, VaultStatus, WaitingReason } from '@talos/envelope'

/** What every instance must come to say after a step, written by hand. */
export interface Truth {
  readonly current: 'v1' | 'v2'
  /** Whom the promotion of v2 waits for, by slot; `null` when none is pending. */
  readonly pending: Readonly<Record<string, WaitingReason>> | null
  /** Each instance: `a v1 v2`; `v2?` for other bytes, `disagrees` and `silent` behind. */
  readonly fleet: readonly string[]
  /** Why v1 cannot be retired. */
  readonly retirement: readonly string[]
  /** Instances that are not ready, with code and KEK. @defaultValue none */
  readonly notReady?: Readonly<Record<string, string>>
}

/** Finds the slot of a process by its name, such as `web-1/4711`. */
export type SlotOf = (process: string) => string

export function pendingOf({ pending }: VaultStatus, slotOf: SlotOf): Truth['pending'] {
  if (pending === null) return null
  return Object.fromEntries(pending.waitingFor.map(({ process, reason }) => [slotOf(process), reason]))
}

/** One word for each KEK that an instance holds. */
export function describeInstance({ process, state, keks, agrees }: InstanceStatus, slotOf: SlotOf): string {
  if (state === 'silent') return `${slotOf(process)} silent`
  const held = Object.entries(keks).flatMap(([id, { holding }]) => {
    if (holding === 'missing') return []
    return [holding === 'other_bytes' ? `${id}?` : id]
  })
  return [slotOf(process), ...held, ...(agrees ? [] : ['disagrees'])].join(' ')
}

/** A clause, its code and, where an instance is meant, its slot. */
export function describeReason({ clause, code, message }: RetirementReason, slotOf: SlotOf): string {
  if (clause !== 'S6') return `${clause} ${code}`
  return `${clause} ${code} ${slotOf(message.split(' ')[0] ?? '')}`
}

export function describeReadiness({ reasons }: VaultStatus): string {
  return reasons.map(({ code, kekId }) => `${code} ${kekId}`).join(', ')
}

import type { Kek } from '../api/types.ts'
import type { BadgeLook } from '../design/feedback.tsx'

export const STATE_LABELS: Readonly<Record<Kek['state'], string>> = {
  provisioned: 'Provisioned',
  current: 'Current',
  'decrypt-only': 'Decrypt-only',
  suspended: 'Suspended',
  retired: 'Retired',
}

export const STATE_LOOKS: Readonly<Record<Kek['state'], BadgeLook>> = {
  provisioned: 'info',
  current: 'accent',
  'decrypt-only': 'warn',
  suspended: 'quiet',
  retired: '',
}

export const STATE_MEANINGS: Readonly<Record<Kek['state'], string>> = {
  provisioned: 'Instances hold it; nothing is under it yet.',
  current: 'New values are wrapped under it.',
  'decrypt-only': 'It opens what is under it and takes nothing new.',
  suspended: 'It opens nothing until it is resumed: the rehearsal of its removal.',
  retired: 'It is gone for good, and its id is never used again.',
}

/** The order in which a KEK lives. */
export const LIFE = ['provisioned', 'current', 'decrypt-only', 'suspended', 'retired'] as const

/** When a KEK came into a state; `null` where that is not written down. */
export function reachedAt(kek: Kek, state: Kek['state']): string | null {
  switch (state) {
    case 'provisioned':
      return null
    case 'current':
      return kek.promoted_at
    case 'decrypt-only':
      return kek.fenced_at
    case 'suspended':
      return kek.suspended_at
    case 'retired':
      return kek.retired_at
  }
}

/** Whether it can be asked if a KEK may be removed. */
export function isLeaving({ state }: Kek): boolean {
  return state === 'decrypt-only' || state === 'suspended'
}

/** What is ahead first, then what is current, then what was, the last one first. */
export function newerFirst(one: Kek, other: Kek): number {
  const place = ({ state }: Kek): number => Math.min(LIFE.indexOf(state), LIFE.indexOf('decrypt-only'))
  if (place(one) !== place(other)) return place(one) - place(other)
  return (other.fenced_at ?? '').localeCompare(one.fenced_at ?? '') || other.id.localeCompare(one.id)
}

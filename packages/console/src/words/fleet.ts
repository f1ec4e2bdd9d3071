import type { Instance } from '../api/types.ts'

/** The live instances that a promotion of a KEK would wait for. */
export function lacking(instances: readonly Instance[], kekId: string): readonly Instance[] {
  return instances.filter(
    ({ state, role, keks }) =>
      state === 'live' && role !== 'observer' && (keks[kekId]?.holding ?? 'missing') !== 'held',
  )
}

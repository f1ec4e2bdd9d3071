import { useCallback, useEffect } from 'preact/hooks'
import type { InstanceList, KekStatus, Rotation } from '../api/types.ts'
import { useSession } from '../session/session.ts'
import { type Resource, useResource } from './resource.ts'

/** The state of the keys, kept up to date. */
export function useKekStatus(): Resource<KekStatus> {
  const { client, live } = useSession()
  const resource = useResource('kek-status', (signal) => client.kekStatus({ signal }), {
    everyMs: 5_000,
    isStreamed: true,
  })
  const { accept, refresh } = resource
  useEffect(() => live.on('keks', accept), [live, accept])
  // The page asks for itself what is wrong, and shows that.
  useEffect(() => live.on('problem', refresh), [live, refresh])
  return resource
}

/** The instances, kept up to date. */
export function useInstances(): Resource<InstanceList> {
  const { client, live } = useSession()
  const resource = useResource('instances', (signal) => client.instances({ signal }), {
    everyMs: 5_000,
    isStreamed: true,
  })
  const { accept } = resource
  useEffect(() => live.on('instances', accept), [live, accept])
  return resource
}

/** The newest rotations, newest first, kept up to date. */
export function useRotations(): Resource<readonly Rotation[]> {
  const { client, live } = useSession()
  const resource = useResource('rotations', (signal) => client.rotations({ signal }), {
    everyMs: 2_000,
    isStreamed: true,
  })
  const { accept, data } = resource
  const merge = useCallback(
    (changed: Rotation) => {
      const others = (data ?? []).filter(({ id }) => id !== changed.id)
      // Ids sort by time.
      accept([...others, changed].sort((a, b) => (a.id < b.id ? 1 : -1)))
    },
    [accept, data],
  )
  useEffect(() => live.on('rotation', merge), [live, merge])
  return resource
}

/** Whether a rotation is neither done nor given up. */
export function isActive({ status }: Rotation): boolean {
  return status === 'running' || status === 'paused'
}

import { createContext } from 'preact'
import { useContext, useEffect, useState } from 'preact/hooks'
import type { AdminClient } from '../api/client.ts'
import type { Live, LiveState } from '../live/live.ts'
import type { Permissions } from './permissions.ts'

/** How a message is meant. */
export type Tone = 'ok' | 'bad'

/** Who is signed in, and what pages share. */
export interface Session {
  readonly client: AdminClient
  readonly live: Live
  readonly permissions: Permissions
  /** How the server names the caller; `null` where it does not. */
  readonly name: string | null
  /** Shows a message for a while, and has it read out. */
  readonly announce: (tone: Tone, message: string) => void
  readonly signOut: () => void
}

export const SessionContext = createContext<Session | null>(null)

export function useSession(): Session {
  const session = useContext(SessionContext)
  if (session === null) throw new Error('nobody is signed in')
  return session
}

/** How the console hears of changes. */
export function useLiveState(): LiveState {
  const { live } = useSession()
  const [state, setState] = useState(live.state)
  useEffect(() => {
    setState(live.state)
    return live.watch(setState)
  }, [live])
  return state
}

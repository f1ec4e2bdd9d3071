import type { JSX } from 'preact'
import { useCallback, useMemo, useRef, useState } from 'preact/hooks'
import { AdminClient } from './api/client.ts'
import { ApiProblem } from './api/problem.ts'
import type { SessionInfo } from './api/types.ts'
import { type Toast, Toasts } from './design/toasts.tsx'
import { Live } from './live/live.ts'
import { permissionsOf } from './session/permissions.ts'
import { type Session, SessionContext, type Tone } from './session/session.ts'
import { SignIn } from './session/sign-in.tsx'
import { Shell } from './shell.tsx'

/** A signed-in caller. The token is inside `client`, in the memory of this page only: a reload asks for it again. */
interface SignedIn {
  readonly client: AdminClient
  readonly live: Live
  readonly info: SessionInfo | null
}

const MOST_TOASTS = 2
const TOAST_MS = 6_000

export function App(): JSX.Element {
  const [signedIn, setSignedIn] = useState<SignedIn | null>(null)
  const [ending, setEnding] = useState<string | null>(null)
  const [refusedRoles, setRefusedRoles] = useState<ReadonlySet<string>>(new Set())
  const [toasts, setToasts] = useState<readonly Toast[]>([])
  const nextToast = useRef(0)
  const active = useRef<SignedIn | null>(null)

  const dismiss = useCallback((id: number) => {
    setToasts((shown) => shown.filter((toast) => toast.id !== id))
  }, [])

  const announce = useCallback(
    (tone: Tone, message: string) => {
      nextToast.current += 1
      const id = nextToast.current
      setToasts((shown) => [...shown, { id, tone, message }].slice(-MOST_TOASTS))
      setTimeout(() => dismiss(id), TOAST_MS)
    },
    [dismiss],
  )

  const signOut = useCallback((why: string | null) => {
    active.current?.live.end()
    active.current = null
    setSignedIn(null)
    setRefusedRoles(new Set())
    setToasts([])
    setEnding(why)
  }, [])

  const signIn = useCallback(
    async (token: string) => {
      const client: AdminClient = new AdminClient(token, (problem) => {
        if (active.current?.client !== client) return
        if (problem.status === 401) signOut('Your token is not accepted any more. Sign in again.')
        const role = problem.requiredRole
        if (role !== null) setRefusedRoles((roles) => (roles.has(role) ? roles : new Set([...roles, role])))
      })
      const info = await askWho(client)
      const entered = { client, live: new Live(client), info }
      active.current = entered
      void entered.live.follow()
      setEnding(null)
      setSignedIn(entered)
    },
    [signOut],
  )

  const session = useMemo<Session | null>(() => {
    if (signedIn === null) return null
    const { client, live, info } = signedIn
    const permissions = permissionsOf(info, refusedRoles)
    return { client, live, permissions, name: info?.name ?? null, announce, signOut: () => signOut(null) }
  }, [signedIn, refusedRoles, announce, signOut])

  if (session === null) return <SignIn ending={ending} signIn={signIn} />
  return (
    <SessionContext.Provider value={session}>
      <Shell />
      <Toasts toasts={toasts} dismiss={dismiss} />
    </SessionContext.Provider>
  )
}

/** Tries the token. An API without sessions is asked for something every reader may see. */
async function askWho(client: AdminClient): Promise<SessionInfo | null> {
  try {
    return await client.session()
  } catch (error) {
    if (!(error instanceof ApiProblem) || (error.status !== 404 && error.status !== 405)) throw error
    await client.kekStatus()
    return null
  }
}

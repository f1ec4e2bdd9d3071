import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { ApiProblem } from '../api/problem.ts'
import { useSession } from '../session/session.ts'

/** What a page knows of something the server has. */
export interface Resource<T> {
  /** The newest answer; `null` before the first. Stays while a later question fails. */
  readonly data: T | null
  /** Why the last question was not answered; `null` when it was. */
  readonly problem: ApiProblem | null
  readonly isLoading: boolean
  /** Asks again now. */
  readonly refresh: () => void
  /** Takes a newer state that came another way. */
  readonly accept: (data: T) => void
}

/** Options of `useResource`. */
export interface ResourceOptions {
  /** How often to ask while no event stream is there. @defaultValue absent: once */
  readonly everyMs?: number
  /** Whether the event stream carries it: then it is asked for seldom while the stream is up. @defaultValue false */
  readonly isStreamed?: boolean
}

const SELDOM_MS = 15_000

/**
 * Asks for something when the page is shown, and again as told. Pages that nobody looks at ask nothing.
 *
 * @param key - What it is: another key is another thing, and what was known of the former one is dropped.
 * @param load - Asks; `null` for nothing to ask yet.
 */
export function useResource<T>(
  key: string,
  load: ((signal: AbortSignal) => Promise<T>) | null,
  { everyMs, isStreamed = false }: ResourceOptions = {},
): Resource<T> {
  const { live } = useSession()
  const [known, setKnown] = useState<{ key: string; data: T | null; problem: ApiProblem | null }>({
    key,
    data: null,
    problem: null,
  })
  const loadNow = useRef(load)
  loadNow.current = load
  const ask = useRef<() => void>(() => undefined)
  const isAsked = load !== null

  useEffect(() => {
    if (!isAsked) return
    const control = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    let isAsking = false
    let isStale = false

    const askNow = async (): Promise<void> => {
      if (isAsking) {
        isStale = true
        return
      }
      isAsking = true
      clearTimeout(timer)
      try {
        const data = await loadNow.current?.(control.signal)
        if (control.signal.aborted || data === undefined) return
        setKnown({ key, data, problem: null })
        live.answered(true)
      } catch (error) {
        if (control.signal.aborted) return
        const problem =
          error instanceof ApiProblem ? error : new ApiProblem(0, 'UNEXPECTED', 'The console failed.')
        live.answered(problem.status !== 0)
        setKnown((before) => ({ key, data: before.key === key ? before.data : null, problem }))
      } finally {
        isAsking = false
      }
      if (isStale) {
        isStale = false
        void askNow()
      } else schedule()
    }
    const schedule = (): void => {
      if (everyMs === undefined) return
      const isSpared = isStreamed && live.state === 'live'
      timer = setTimeout(tick, isSpared ? Math.max(everyMs, SELDOM_MS) : everyMs)
    }
    const tick = (): void => {
      if (document.hidden) return
      void askNow()
    }
    const shown = (): void => {
      if (!document.hidden && everyMs !== undefined) void askNow()
    }
    const unwatch = live.watch((state) => {
      if (isStreamed && state === 'polling') void askNow()
    })
    ask.current = () => void askNow()
    document.addEventListener('visibilitychange', shown)
    void askNow()
    return () => {
      control.abort()
      clearTimeout(timer)
      unwatch()
      document.removeEventListener('visibilitychange', shown)
    }
  }, [key, isAsked, everyMs, isStreamed, live])

  const refresh = useCallback(() => ask.current(), [])
  const accept = useCallback((data: T) => setKnown({ key, data, problem: null }), [key])
  const isMine = known.key === key
  const data = isMine ? known.data : null
  const problem = isMine ? known.problem : null
  return { data, problem, isLoading: data === null && problem === null, refresh, accept }
}

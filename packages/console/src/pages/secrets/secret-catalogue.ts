import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { ApiProblem } from '../../api/problem.ts'
import type { Secret } from '../../api/types.ts'
import { useSession } from '../../session/session.ts'

/** The metadata of all secrets as far as it was read. */
export interface SecretCatalogue {
  /** Sorted by name, each once. */
  readonly secrets: readonly Secret[]
  readonly isReading: boolean
  /** Whether the reading stopped before the end of a long list. */
  readonly hasMore: boolean
  readonly problem: ApiProblem | null
  readonly readMore: () => void
  readonly readAgain: () => void
}

/** What one run reads before it asks whether to go on: the memory of a page has an end, a store has none. */
const MOST_A_RUN = 50_000

/** Reads the list of secrets page by page, in the background; nothing of it waits for the whole. */
export function useSecretCatalogue(isAllowed: boolean): SecretCatalogue {
  const { client } = useSession()
  const [run, setRun] = useState({ number: 0, goesOn: false })
  const [state, setState] = useState({ secrets: [] as readonly Secret[], isReading: true, hasMore: false })
  const [problem, setProblem] = useState<ApiProblem | null>(null)
  const kept = useRef({ byName: new Map<string, Secret>(), cursor: undefined as string | undefined })

  useEffect(() => {
    if (!isAllowed) return
    const control = new AbortController()
    // A listing that is read again replaces the former one only when it is whole: the page does not jump.
    const byName = run.goesOn ? kept.current.byName : new Map<string, Secret>()
    const isFirst = kept.current.byName.size === 0 || run.goesOn
    const before = byName.size
    const show = (isReading: boolean, cursor: string | undefined): void => {
      kept.current = { byName, cursor }
      const secrets = [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
      setState({ secrets, isReading, hasMore: !isReading && cursor !== undefined })
    }
    const read = async (): Promise<void> => {
      setState((shown) => ({ ...shown, isReading: true, hasMore: false }))
      setProblem(null)
      let cursor = run.goesOn ? kept.current.cursor : undefined
      do {
        const page = await client.secrets(cursor, { signal: control.signal })
        if (control.signal.aborted) return
        for (const secret of page.secrets) byName.set(secret.name, secret)
        cursor = page.next
        if (isFirst) show(cursor !== undefined, cursor)
      } while (cursor !== undefined && byName.size - before < MOST_A_RUN)
      show(false, cursor)
    }
    read().catch((error: unknown) => {
      if (control.signal.aborted) return
      setState((shown) => ({ ...shown, isReading: false }))
      setProblem(error instanceof ApiProblem ? error : new ApiProblem(0, 'UNEXPECTED', 'The console failed.'))
    })
    return () => control.abort()
  }, [client, run, isAllowed])

  const readMore = useCallback(() => setRun(({ number }) => ({ number: number + 1, goesOn: true })), [])
  const readAgain = useCallback(() => setRun(({ number }) => ({ number: number + 1, goesOn: false })), [])
  return { ...state, problem, readMore, readAgain }
}

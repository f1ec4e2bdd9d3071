import type { JSX } from 'preact'
import { useEffect } from 'preact/hooks'
import { Loading, Problem } from '../../design/feedback.tsx'
import { PageHead } from '../../design/page.tsx'
import { isActive, useRotations } from '../../live/states.ts'
import type { PageProps } from '../../shell.tsx'
import { History } from './history.tsx'
import { Quarantine } from './quarantine.tsx'
import { RotationCard } from './rotation-card.tsx'
import { StartCard } from './start-card.tsx'

/** Start a rotation, watch it, act on it, and see what it could not do. */
export function RotationPage({ keks }: PageProps): JSX.Element {
  const { data, problem, isLoading, refresh } = useRotations()
  const newest = data?.[0]
  const isBusy = newest !== undefined && isActive(newest)
  const { refresh: countAgain } = keks
  // An end of a rotation changes what is stale.
  useEffect(() => countAgain(), [newest?.id, newest?.status])
  return (
    <>
      <PageHead title="Rotation">Re-wrap every secret under the current KEK</PageHead>
      <div class="stack">
        {problem && <Problem problem={problem} retry={refresh} />}
        {isLoading && <Loading what="the rotations" />}
        {newest && <RotationCard key={newest.id} rotation={newest} refresh={refresh} />}
        {newest && newest.stats.failed > 0 && <Quarantine rotation={newest} refresh={refresh} />}
        {data && !isBusy && <StartCard status={keks.data} newest={newest ?? null} refresh={refresh} />}
        {data && <History rotations={data} />}
      </div>
    </>
  )
}

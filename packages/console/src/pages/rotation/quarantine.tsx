import type { JSX } from 'preact'
import type { Rotation } from '../../api/types.ts'
import { Button } from '../../design/button.tsx'
import { Loading, Problem } from '../../design/feedback.tsx'
import { ScrollRegion } from '../../design/scroll-region.tsx'
import { useResource } from '../../live/resource.ts'
import { useSession } from '../../session/session.ts'
import { inWords, many } from '../../words/numbers.ts'
import { quarantineAdvice } from '../../words/rotations.ts'
import { useRotationVerbs } from './rotation-actions.tsx'

/** The secrets that could not be re-wrapped, with the check each did not pass. */
export function Quarantine({
  rotation,
  refresh,
}: {
  readonly rotation: Rotation
  readonly refresh: () => void
}): JSX.Element {
  const { client, permissions } = useSession()
  const { id, status, stats, dry_run } = rotation
  const act = useRotationVerbs(rotation, refresh)
  const {
    data,
    problem,
    refresh: again,
  } = useResource(`quarantine ${id} ${status} ${stats.failed}`, (signal) => client.rotation(id, { signal }))
  const isOver = status === 'failed' || status === 'completed'
  return (
    <section class="card flush" aria-labelledby="quarantine">
      <header>
        <div>
          <h2 id="quarantine">Quarantine</h2>
          <p>{many(stats.failed, 'secret')} could not be re-wrapped. Each stays as it is.</p>
        </div>
        {isOver && !dry_run && (
          <Button
            icon="rotation"
            refusal={permissions.refusal('retryRotation')}
            onClick={() => void act('retry-failed')}
          >
            Try these again
          </Button>
        )}
      </header>
      {problem && <Problem problem={problem} retry={again} />}
      {data === null && problem === null && <Loading what="the quarantine" />}
      {data && (
        <ScrollRegion label="Secrets in quarantine">
          <table>
            <thead>
              <tr>
                <th scope="col">Secret</th>
                <th scope="col">KEK</th>
                <th scope="col">Check that failed, and what to do</th>
              </tr>
            </thead>
            <tbody>
              {data.failures.map(({ name, reason, key_id, source }) => (
                <tr key={`${source ?? ''} ${name}`}>
                  <th scope="row" class="break">
                    {name}
                    {source !== null && <span class="muted"> in {source}</span>}
                  </th>
                  <td class="mono">{key_id ?? 'unknown'}</td>
                  <td class="break">
                    <code>{reason}</code>
                    <br />
                    <span class="muted">{quarantineAdvice(reason)}</span>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollRegion>
      )}
      {data && data.failures.length < stats.failed && (
        <p class="list-foot">The first {inWords(data.failures.length)} are shown.</p>
      )}
    </section>
  )
}

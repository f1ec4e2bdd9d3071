import type { JSX } from 'preact'
import type { Rotation } from '../../api/types.ts'
import { Badge, Nothing } from '../../design/feedback.tsx'
import { Moment } from '../../design/moment.tsx'
import { ScrollRegion } from '../../design/scroll-region.tsx'
import { duration, inWords, short } from '../../words/numbers.ts'
import { STATUS_LOOKS, statusLabel } from '../../words/rotations.ts'

/** What was done before. */
export function History({ rotations }: { readonly rotations: readonly Rotation[] }): JSX.Element {
  return (
    <section class="card flush" aria-labelledby="history">
      <header>
        <h2 id="history">History</h2>
      </header>
      {rotations.length === 0 ? (
        <Nothing title="No rotation yet" icon="rotation">
          The first one is listed here when it begins.
        </Nothing>
      ) : (
        <ScrollRegion label="Earlier rotations">
          <table>
            <thead>
              <tr>
                <th scope="col">Started</th>
                <th scope="col">Towards</th>
                <th scope="col">Status</th>
                <th scope="col" class="end">
                  Re-wrapped
                </th>
                <th scope="col" class="end">
                  Failed
                </th>
                <th scope="col" class="end">
                  Took
                </th>
                <th scope="col">Id</th>
              </tr>
            </thead>
            <tbody>
              {rotations.map((rotation) => (
                <tr key={rotation.id}>
                  <th scope="row">
                    <Moment at={rotation.started_at} />
                  </th>
                  <td>
                    <span class="mono">{rotation.target_kek_id}</span>
                    {rotation.dry_run && <span class="muted"> dry run</span>}
                  </td>
                  <td>
                    <Badge look={STATUS_LOOKS[rotation.status]}>{statusLabel(rotation)}</Badge>
                  </td>
                  <td class="end number">{inWords(rotation.stats.rotated)}</td>
                  <td class="end number">{inWords(rotation.stats.failed)}</td>
                  <td class="end number">
                    {rotation.completed_at === null
                      ? '—'
                      : duration(Date.parse(rotation.completed_at) - Date.parse(rotation.started_at))}
                  </td>
                  <td class="mono muted" title={rotation.id}>
                    {short(rotation.id)}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollRegion>
      )}
    </section>
  )
}

import type { JSX } from 'preact'
import { Bar } from '../../design/bar.tsx'
import { isActive, useRotations } from '../../live/states.ts'
import { duration, percent, rate } from '../../words/numbers.ts'
import { statusLabel } from '../../words/rotations.ts'

/** How far the rotation is that goes on now; nothing when none does. */
export function ActiveRotation(): JSX.Element | null {
  const newest = useRotations().data?.[0]
  if (newest === undefined || !isActive(newest)) return null
  const { dry_run, target_kek_id, status, stats, expected, per_second, remaining_ms } = newest
  const all = expected ?? 0
  return (
    <section class="card stack close" aria-label="Rotation that goes on now">
      <div class="row wide">
        <strong>
          {dry_run ? 'Dry run' : 'Rotation'} to {target_kek_id}: {statusLabel(newest).toLowerCase()}
        </strong>
        <span class="muted small number">
          {all > 0 && `${Math.min(99, percent(stats.scanned, all))} %`}
          {status === 'running' && ` · ${rate(per_second)}`}
          {remaining_ms !== null && ` · ${duration(remaining_ms)} left`} ·{' '}
          <a href="#/rotation">Open rotation</a>
        </span>
      </div>
      <Bar part={stats.scanned} total={all} label="Progress of the rotation" />
    </section>
  )
}

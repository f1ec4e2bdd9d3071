import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { Rotation } from '../../api/types.ts'
import { Bar } from '../../design/bar.tsx'
import { Badge, Note } from '../../design/feedback.tsx'
import { Moment } from '../../design/moment.tsx'
import { duration, inWords, many, percent, rate, short } from '../../words/numbers.ts'
import { hasLookedAtAll, STATUS_LOOKS, statusLabel } from '../../words/rotations.ts'
import { RotationActions } from './rotation-actions.tsx'
import { noteThroughput, type Sample } from './throughput.ts'
import { ThroughputChart } from './throughput-chart.tsx'

/** The newest rotation: how far it is, how fast, and what can be done with it. */
export function RotationCard({
  rotation,
  refresh,
}: {
  readonly rotation: Rotation
  readonly refresh: () => void
}): JSX.Element {
  const { id, status, dry_run, target_kek_id, stats, expected } = rotation
  const [samples, setSamples] = useState<readonly Sample[]>([])
  useEffect(() => setSamples(noteThroughput(rotation, Date.now())), [rotation])
  const isRunning = status === 'running'
  const isDone = hasLookedAtAll(rotation)
  const done = stats.scanned
  const all = isDone ? Math.max(done, 1) : (expected ?? 0)
  const share = isDone ? 100 : Math.min(percent(done, all), 99)
  return (
    <section class="card" aria-labelledby={`rotation-${id}`}>
      <header>
        <div>
          <h2 id={`rotation-${id}`}>
            {dry_run ? 'Dry run' : 'Rotation'} to {target_kek_id}
          </h2>
          <p>
            Started <Moment at={rotation.started_at} /> · <span title={id}>{short(id)}</span>
          </p>
        </div>
        <Badge look={STATUS_LOOKS[status]}>{statusLabel(rotation)}</Badge>
      </header>
      <Reasons rotation={rotation} />
      <div class="stack close">
        <div class="progress-head">
          <strong>{all > 0 ? `${share} %` : inWords(done)}</strong>
          <span class="muted number">
            {inWords(done)} {all > 0 && !isDone && `of about ${inWords(all)}`} looked at
            {dry_run && ', nothing written'}
          </span>
        </div>
        <Bar part={isDone ? 1 : done} total={isDone ? 1 : all} label="Progress of the rotation" look="tall" />
        {/* Read out when it changes state, not with every number. */}
        <p class="unseen" role="status">
          {dry_run ? 'Dry run' : 'Rotation'} to {target_kek_id}: {statusLabel(rotation)}.
        </p>
      </div>
      <dl class="tiles">
        <div>
          <dt>{dry_run ? 'Would be re-wrapped' : 'Re-wrapped'}</dt>
          <dd>{inWords(stats.rotated)}</dd>
        </div>
        <div>
          <dt>Rate</dt>
          <dd>{isRunning ? rate(rotation.per_second) : '—'}</dd>
        </div>
        <div>
          <dt>{isRunning || status === 'paused' ? 'Time left' : 'Took'}</dt>
          <dd>{timeOf(rotation)}</dd>
        </div>
        <div>
          <dt>In quarantine</dt>
          <dd>{inWords(stats.failed)}</dd>
        </div>
      </dl>
      {(isRunning || samples.length > 1) && <ThroughputChart samples={samples} />}
      <RotationActions rotation={rotation} refresh={refresh} />
      <details>
        <summary>Details</summary>
        <Facts rotation={rotation} />
      </details>
    </section>
  )
}

function timeOf({ status, remaining_ms, started_at, updated_at, completed_at }: Rotation): string {
  if (status === 'running') return remaining_ms === null ? 'not known yet' : duration(remaining_ms)
  if (status === 'paused') return 'paused'
  return duration(Date.parse(completed_at ?? updated_at) - Date.parse(started_at))
}

function Reasons({ rotation }: { readonly rotation: Rotation }): JSX.Element {
  const { waiting_for, paused_by, last_error, status, dry_run, stats } = rotation
  return (
    <>
      {waiting_for.length > 0 && (
        <Note weight="warn">
          <strong>It begins when {many(waiting_for.length, 'instance')} has followed:</strong>
          <ul>
            {waiting_for.map((instance) => (
              <li key={instance.instance_id} class="break">
                {instance.message}
              </li>
            ))}
          </ul>
        </Note>
      )}
      {status === 'paused' && (
        <Note weight="warn">
          {paused_by === 'outage'
            ? 'Paused by itself: the store was away for too long. Resume it when the store is well.'
            : 'Paused by an operator. Nothing is lost; it goes on where it stopped.'}
        </Note>
      )}
      {last_error !== null && (
        <Note weight={status === 'failed' ? 'bad' : 'warn'}>
          <span class="break">
            {last_error.message} <code class="muted">{last_error.code}</code>
          </span>
        </Note>
      )}
      {dry_run && hasLookedAtAll(rotation) && (
        <Note weight={stats.failed === 0 ? 'ok' : 'warn'}>
          <strong>{many(stats.rotated, 'secret')} would be re-wrapped.</strong>{' '}
          {stats.failed === 0
            ? 'Every one of them can be.'
            : `${many(stats.failed, 'secret')} could not be: see the quarantine.`}
        </Note>
      )}
    </>
  )
}

function Facts({ rotation }: { readonly rotation: Rotation }): JSX.Element {
  const { stats, shards, workers, pass } = rotation
  const facts: readonly (readonly [string, string])[] = [
    ['Id', rotation.id],
    ['Pass', inWords(pass)],
    [
      'Shards',
      shards.total === 0
        ? 'not known yet'
        : `${shards.done} of ${shards.total} done, ${shards.working} at work`,
    ],
    ['Instances at work', workers.length === 0 ? 'none' : workers.map(short).join(', ')],
    ['Limit', rotation.rate_limit === null ? 'none' : rate(rotation.rate_limit)],
    ['Workers at once', inWords(rotation.concurrency)],
    ['Current already', inWords(stats.already_current)],
    ['Changed meanwhile', inWords(stats.changed)],
    ['Deleted meanwhile', inWords(stats.deleted)],
  ]
  return (
    <dl class="facts">
      {facts.map(([term, fact]) => (
        <div key={term}>
          <dt>{term}</dt>
          <dd>{fact}</dd>
        </div>
      ))}
    </dl>
  )
}

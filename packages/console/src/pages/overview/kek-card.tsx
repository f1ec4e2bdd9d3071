import type { JSX } from 'preact'
import type { Certificate, Instance, Kek, KekStatus } from '../../api/types.ts'
import { Bar } from '../../design/bar.tsx'
import { Badge } from '../../design/feedback.tsx'
import { lacking } from '../../words/fleet.ts'
import { STATE_LABELS, STATE_LOOKS, STATE_MEANINGS } from '../../words/keks.ts'
import { inWords, many, momentOf, percent } from '../../words/numbers.ts'
import { KekActions } from './kek-actions.tsx'
import { LifeSteps } from './life-steps.tsx'

const BAR_LOOKS: Readonly<Record<Kek['state'], string>> = {
  provisioned: '',
  current: '',
  'decrypt-only': 'warn',
  suspended: 'quiet',
  retired: 'still',
}

/** One KEK: its steps, what is under it, and what can be done with it. */
export function KekCard({
  kek,
  status,
  instances,
  refresh,
  onRetired,
}: {
  readonly kek: Kek
  readonly instances: readonly Instance[]
  readonly status: KekStatus
  readonly refresh: () => void
  readonly onRetired: (certificate: Certificate) => void
}): JSX.Element {
  const { records: all, at_least } = status.counts
  const more = at_least.includes(kek.id) ? 'at least ' : ''
  return (
    <article class="kek stack close" aria-label={`KEK ${kek.id}`}>
      <div class="row wide">
        <div class="kek-name">
          <h3>{kek.id}</h3>
          <Badge look={STATE_LOOKS[kek.state]}>{STATE_LABELS[kek.state]}</Badge>
          {kek.compromised_at !== null && (
            <Badge look="bad">Compromised {momentOf(kek.compromised_at)}</Badge>
          )}
          {!kek.loaded && kek.state !== 'retired' && <Badge look="bad">Not loaded here</Badge>}
          <span class="muted small">
            <span class="unseen">Fingerprint </span>
            <code>{kek.fingerprint}</code>
          </span>
        </div>
        <KekActions kek={kek} status={status} instances={instances} refresh={refresh} onRetired={onRetired} />
      </div>
      <p class="muted small">
        {STATE_MEANINGS[kek.state]}
        {kek.state === 'provisioned' && holders(kek.id, instances)}
        {kek.state !== 'provisioned' &&
          kek.state !== 'retired' &&
          (kek.escrowed_at === null
            ? ' No escrow recorded.'
            : ` Escrow recorded ${momentOf(kek.escrowed_at)}.`)}
      </p>
      <LifeSteps kek={kek} />
      {kek.state !== 'retired' && (
        <div class="share">
          <p>
            <span>
              {more}
              {many(kek.records, 'secret')}
            </span>
            <span class="muted number">
              {percent(kek.records, all)} % of {inWords(all)}
            </span>
          </p>
          <Bar
            part={kek.records}
            total={all}
            label={`Share of secrets under ${kek.id}`}
            look={BAR_LOOKS[kek.state]}
          />
        </div>
      )}
    </article>
  )
}

/** Whom a promotion would wait for. */
function holders(kekId: string, instances: readonly Instance[]): string {
  if (instances.length === 0) return ''
  const without = lacking(instances, kekId)
  if (without.length === 0) return ' Every live instance holds it: it can be promoted.'
  return ` Give it to ${without.map(({ process }) => process).join(', ')} before it is promoted.`
}

import type { JSX } from 'preact'
import { Icon } from '../../design/icon.tsx'
import { titleOf } from '../../words/audit.ts'
import { clockOf, short } from '../../words/numbers.ts'
import type { AuditEntry } from './audit-entries.ts'

const MARKS = {
  done: ['ok', 'check', 'Done'],
  failed: ['bad', 'cross', 'Failed'],
  open: ['warn', 'clock', 'Begun, with no outcome yet'],
} as const

const SHOWN_ELSEWHERE = new Set(['intentId', 'intent_id'])

/** One piece of work in the trail. */
export function AuditItem({ entry }: { readonly entry: AuditEntry }): JSX.Element {
  const { event, outcome } = entry
  const [look, icon, words] = MARKS[outcome]
  const details = Object.entries(event.details).filter(
    ([key, value]) => value !== null && !SHOWN_ELSEWHERE.has(key),
  )
  return (
    <li>
      <span class={`mark ${look}`}>
        <Icon name={icon} size={15} />
      </span>
      <div>
        <h3>{titleOf(event)}</h3>
        <p class="muted">
          {words} at <time dateTime={event.at}>{clockOf(event.at)}</time>
          {event.actor !== null && (
            <>
              {' '}
              by <strong>{event.actor}</strong>
            </>
          )}{' '}
          on {event.process}
          {event.epoch !== null && `, epoch ${event.epoch}`}
        </p>
        {event.reason !== null && <blockquote>{event.reason}</blockquote>}
        {details.length > 0 && (
          <details>
            <summary>Details</summary>
            <dl class="facts">
              {details.map(([key, value]) => (
                <div key={key}>
                  <dt>{key}</dt>
                  <dd>{String(value)}</dd>
                </div>
              ))}
              <div>
                <dt>instance</dt>
                <dd class="mono" title={event.instance_id}>
                  {short(event.instance_id)}
                </dd>
              </div>
            </dl>
          </details>
        )}
      </div>
    </li>
  )
}

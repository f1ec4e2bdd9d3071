import type { JSX } from 'preact'
import type { Kek } from '../../api/types.ts'
import { Moment } from '../../design/moment.tsx'
import { LIFE, reachedAt, STATE_LABELS } from '../../words/keks.ts'

type Place = 'past' | 'now' | 'left-out' | 'ahead'

const SAID: Readonly<Record<Place, string>> = {
  past: 'done',
  now: 'now',
  'left-out': 'was left out',
  ahead: 'not yet',
}

/** The life of a KEK as steps: where it has been, where it is, and what is ahead. */
export function LifeSteps({ kek }: { readonly kek: Kek }): JSX.Element {
  const now = LIFE.indexOf(kek.state)
  return (
    <ol class="steps" aria-label={`Life of ${kek.id}`}>
      {LIFE.map((state, index) => {
        const at = reachedAt(kek, state)
        const isLeftOut = state === 'suspended' && index < now && at === null
        const place: Place = index === now ? 'now' : isLeftOut ? 'left-out' : index < now ? 'past' : 'ahead'
        return (
          <li key={state} class={place} aria-current={place === 'now' ? 'step' : undefined}>
            <span>
              {STATE_LABELS[state]}
              <span class="unseen">, {SAID[place]}</span>
            </span>
            {at !== null && index <= now ? (
              <Moment at={at} />
            ) : (
              <em>{state === 'suspended' && place !== 'now' ? 'if you rehearse' : ' '}</em>
            )}
          </li>
        )
      })}
    </ol>
  )
}

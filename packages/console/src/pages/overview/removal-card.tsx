import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { Certificate, KekStatus } from '../../api/types.ts'
import { Button } from '../../design/button.tsx'
import { Loading, Note, Nothing, Problem } from '../../design/feedback.tsx'
import { Icon } from '../../design/icon.tsx'
import { Moment } from '../../design/moment.tsx'
import { useResource } from '../../live/resource.ts'
import { useSession } from '../../session/session.ts'
import { isLeaving, newerFirst } from '../../words/keks.ts'
import { many } from '../../words/numbers.ts'
import { blockerOf, checksOf } from '../../words/retirement.ts'
import { DownloadButton } from './certificate-file.tsx'

/** The question that every rotation ends with. */
export function RemovalCard({
  status,
  refresh,
}: {
  readonly status: KekStatus
  readonly refresh: () => void
}): JSX.Element | null {
  const leaving = status.keks.filter(isLeaving).sort(newerFirst)
  const [chosen, setChosen] = useState<string | null>(null)
  const kek = leaving.find(({ id }) => id === chosen) ?? leaving[0]
  if (status.current_kek_id === null) return null
  if (kek === undefined) {
    return (
      <section class="card" aria-label="Removal">
        <Nothing title="There is no former KEK to remove" icon="check" isSlim>
          To begin a rotation, generate a KEK, give it to every instance, and promote it here.
        </Nothing>
      </section>
    )
  }
  return (
    <section class="card" aria-labelledby="removal">
      <header>
        <h2 id="removal">Can {kek.id} be removed now?</h2>
        {leaving.length > 1 && (
          <fieldset class="segments" aria-label="KEK in question">
            {leaving.map(({ id }) => (
              <button key={id} type="button" aria-pressed={id === kek.id} onClick={() => setChosen(id)}>
                {id}
              </button>
            ))}
          </fieldset>
        )}
      </header>
      <Answer kekId={kek.id} status={status} refresh={refresh} />
    </section>
  )
}

function Answer({
  kekId,
  status,
  refresh,
}: {
  readonly kekId: string
  readonly status: KekStatus
  readonly refresh: () => void
}): JSX.Element {
  const { client, permissions } = useSession()
  const refusal = permissions.refusal('checkRetirement')
  // The gate counts every record: it is asked again when something has changed that it looks at.
  const { epoch, stale_counts, fleet } = status
  const seen = `${kekId} ${epoch} ${(stale_counts[kekId] ?? 0) === 0} ${fleet.live} ${fleet.disagreeing}`
  const gate = useResource(
    seen,
    refusal === null ? (signal) => client.retirement(kekId, undefined, { signal }) : null,
  )
  if (refusal !== null) {
    const stale = stale_counts[kekId] ?? 0
    return (
      <Note>
        <strong>{stale === 0 ? 'No secret is under it.' : `${many(stale, 'secret')} under it.`}</strong>{' '}
        Whether it can go is more than that, and the gate answers it. {refusal}
      </Note>
    )
  }
  if (gate.problem !== null) return <Problem problem={gate.problem} retry={gate.refresh} />
  if (gate.data === null) return <Loading what="the answer of the gate" />
  const checkAgain = (): void => {
    gate.refresh()
    refresh()
  }
  return <Verdict certificate={gate.data} checkAgain={checkAgain} />
}

const VERDICTS = {
  SAFE: ['ok', 'check', 'Yes, it can be retired', 'Every clause of the gate holds.'],
  ADVISORY: [
    'warn',
    'warn',
    'Not for certain',
    'Nothing stands in the way that can be seen; the store promises no more.',
  ],
  NOT_SAFE: ['bad', 'cross', 'Not yet', 'Settle what follows, then check again.'],
} as const

const MARKS = { ok: 'check', warn: 'warn', bad: 'cross' } as const

function Verdict({
  certificate,
  checkAgain,
}: {
  readonly certificate: Certificate
  readonly checkAgain: () => void
}): JSX.Element {
  const { verdict, reasons, epoch, checkedAt } = certificate
  const [look, icon, answer, meaning] = VERDICTS[verdict]
  return (
    <>
      <div class="row wide">
        <div class="verdict" role="status">
          <span class={`mark ${look}`}>
            <Icon name={icon} size={24} />
          </span>
          <div>
            <strong>{answer}</strong>
            <p>
              {meaning} Asked at epoch {epoch}, <Moment at={checkedAt} />.
            </p>
          </div>
        </div>
        <div class="row">
          <DownloadButton certificate={certificate} />
          <Button icon="rotation" onClick={checkAgain}>
            Check again
          </Button>
        </div>
      </div>
      {reasons.length > 0 && (
        <ul class="blockers">
          {reasons.map(({ code, message, weight }) => {
            const { title, step, page } = blockerOf(code)
            return (
              <li key={message} class={weight === 'advises' ? 'warn' : ''}>
                <h3>{title}</h3>
                <p class="muted break">{message}</p>
                <p>
                  <strong>What to do:</strong> {step} {page && <a href={`#/${page}`}>Open {page}</a>}
                </p>
              </li>
            )
          })}
        </ul>
      )}
      <details>
        <summary>All nine checks</summary>
        <ul class="checks">
          {checksOf(certificate).map(({ clause, title, seen, outcome }) => (
            <li key={clause} class={outcome}>
              <Icon name={MARKS[outcome]} size={16} />
              <span>
                <span class="unseen">
                  {outcome === 'ok' ? 'Holds: ' : outcome === 'warn' ? 'Not certain: ' : 'Does not hold: '}
                </span>
                {title} <span class="muted break">({seen})</span>
              </span>
            </li>
          ))}
        </ul>
      </details>
    </>
  )
}

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { RotateRequest } from '../../api/client.ts'
import { ApiProblem } from '../../api/problem.ts'
import type { Kek, KekStatus, Rotation } from '../../api/types.ts'
import { Button } from '../../design/button.tsx'
import { Note, Problem } from '../../design/feedback.tsx'
import { TextField } from '../../design/field.tsx'
import { useSession } from '../../session/session.ts'
import { many } from '../../words/numbers.ts'
import { hasLookedAtAll } from '../../words/rotations.ts'

/** As the API says it. */
const MOST_WORKERS = 8

/** Whether the service wants to hear that its operator knows; a retired one has nothing left under it. */
function isLeaked({ compromised_at, state }: Kek): boolean {
  return compromised_at !== null && state !== 'retired'
}

/** Reads a number that may be left out; `null` for none, `undefined` for a text that is no such number. */
function readNumber(text: string, isRight: (number: number) => boolean): number | null | undefined {
  if (text.trim() === '') return null
  const number = Number(text)
  return Number.isFinite(number) && isRight(number) ? number : undefined
}

/** Starts a rotation: first as a dry run, which writes nothing, then for real. */
export function StartCard({
  status,
  newest,
  refresh,
}: {
  readonly status: KekStatus | null
  readonly newest: Rotation | null
  readonly refresh: () => void
}): JSX.Element {
  const { client, permissions, announce } = useSession()
  const [limit, setLimit] = useState('')
  const [workers, setWorkers] = useState('')
  const [reason, setReason] = useState('')
  const [isKnown, setKnown] = useState(false)
  const [isBusy, setBusy] = useState(false)
  const [problem, setProblem] = useState<ApiProblem | null>(null)

  const target = status?.target_kek_id ?? null
  const stale = Object.values(status?.stale_counts ?? {}).reduce((sum, count) => sum + count, 0)
  const leaked = status?.keks.filter(isLeaked) ?? []
  const rateLimit = readNumber(limit, (number) => number > 0)
  const concurrency = readNumber(
    workers,
    (number) => Number.isInteger(number) && number >= 1 && number <= MOST_WORKERS,
  )
  // One that met secrets it could not re-wrap has tried all the same, and says which.
  const isTried = newest?.dry_run === true && hasLookedAtAll(newest) && newest.target_kek_id === target
  const refusal =
    permissions.refusal('startRotation') ??
    (isBusy
      ? 'It is being started.'
      : rateLimit === undefined || concurrency === undefined
        ? 'Correct the numbers first.'
        : null)

  async function start(isDryRun: boolean): Promise<void> {
    setBusy(true)
    setProblem(null)
    const request: RotateRequest = {
      ...(isDryRun ? { dry_run: true } : {}),
      ...(typeof rateLimit === 'number' ? { rate_limit: rateLimit } : {}),
      ...(typeof concurrency === 'number' ? { concurrency } : {}),
      ...(isKnown ? { acknowledge_compromised: true } : {}),
      ...(reason === '' ? {} : { reason }),
    }
    try {
      await client.rotate(request)
      announce('ok', isDryRun ? 'The dry run has begun.' : 'The rotation has begun.')
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error
      setProblem(error)
    }
    setBusy(false)
    refresh()
  }

  return (
    <section class="card" aria-labelledby="start">
      <header>
        <div>
          <h2 id="start">Start a rotation</h2>
          <p>
            {stale === 0
              ? 'Everything is under the target: a rotation would find nothing to do.'
              : `${many(stale, 'secret')} would go under ${target ?? 'the current KEK'}. Values stay as they are.`}
          </p>
        </div>
      </header>
      <div class="fields">
        <TextField
          label="At most, secrets a second"
          value={limit}
          onInput={setLimit}
          hint="Empty: as fast as the store takes them."
          fault={rateLimit === undefined ? 'A number above 0.' : null}
          autoComplete="off"
        />
        <TextField
          label="Workers at once"
          value={workers}
          onInput={setWorkers}
          hint="Empty: what the service chooses."
          fault={concurrency === undefined ? `A whole number from 1 to ${MOST_WORKERS}.` : null}
          autoComplete="off"
        />
        <TextField
          label="Reason"
          value={reason}
          onInput={setReason}
          hint="For the audit trail; one line."
          autoComplete="off"
        />
      </div>
      {leaked.length > 0 && (
        <Note weight="warn">
          <label class="choice">
            <input
              type="checkbox"
              checked={isKnown}
              onChange={(event) => setKnown(event.currentTarget.checked)}
            />
            <span>
              {leaked.map(({ id }) => id).join(', ')} is marked compromised. I know that re-wrapping makes no
              value secret again, and have replaced the credentials.
            </span>
          </label>
        </Note>
      )}
      {problem && <Problem problem={problem} />}
      <div class="row">
        <Button look={isTried ? undefined : 'primary'} refusal={refusal} onClick={() => void start(true)}>
          Dry run
        </Button>
        <Button
          icon="rotation"
          look={isTried ? 'primary' : undefined}
          refusal={refusal ?? (isTried ? null : 'Do a dry run towards this KEK first.')}
          onClick={() => void start(false)}
        >
          Start the rotation
        </Button>
        <span class="muted small">
          {isTried ? 'The dry run is done.' : 'A dry run tries every secret and writes nothing.'}
        </span>
      </div>
    </section>
  )
}

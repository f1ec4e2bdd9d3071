import type { JSX } from 'preact'
import { useEffect, useMemo, useState } from 'preact/hooks'
import { ApiProblem } from '../../api/problem.ts'
import type { AuditEvent } from '../../api/types.ts'
import { Button } from '../../design/button.tsx'
import { Loading, Note, Nothing, Problem } from '../../design/feedback.tsx'
import { SelectField } from '../../design/field.tsx'
import { PageHead } from '../../design/page.tsx'
import { useSession } from '../../session/session.ts'
import type { PageProps } from '../../shell.tsx'
import { dayOf } from '../../words/numbers.ts'
import { type AuditEntry, entriesOf } from './audit-entries.ts'
import { AuditItem } from './audit-item.tsx'

interface Trail {
  readonly events: readonly AuditEvent[]
  readonly unreadable: number
  readonly next: string | undefined
}

/** Who did what to the keys, newest first. */
export function AuditPage({ keks }: PageProps): JSX.Element {
  const { client, permissions } = useSession()
  const refusal = permissions.refusal('listAudit')
  const [trail, setTrail] = useState<Trail | null>(null)
  const [problem, setProblem] = useState<ApiProblem | null>(null)
  const [isBusy, setBusy] = useState(false)
  const [action, setAction] = useState('')
  const [kekId, setKekId] = useState('')
  const epoch = keks.data?.epoch

  async function read(before: Trail | null, signal?: AbortSignal): Promise<void> {
    setBusy(true)
    try {
      const page = await client.audit(before?.next, { signal })
      setTrail({
        events: [...(before?.events ?? []), ...page.events],
        unreadable: (before?.unreadable ?? 0) + page.unreadable.length,
        next: page.next,
      })
      setProblem(null)
    } catch (error) {
      if (signal?.aborted) return
      if (!(error instanceof ApiProblem)) throw error
      setProblem(error)
    }
    setBusy(false)
  }

  // A change of the keys is a new event.
  useEffect(() => {
    if (refusal !== null) return
    const control = new AbortController()
    void read(null, control.signal)
    return () => control.abort()
  }, [client, epoch, refusal])

  const entries = useMemo(() => entriesOf(trail?.events ?? []), [trail])
  const shown = entries.filter(
    ({ event }) => (action === '' || event.action === action) && (kekId === '' || event.kek_id === kekId),
  )
  const actions = [...new Set(entries.map(({ event }) => event.action))].sort()
  const kekIds = [...new Set(entries.flatMap(({ event }) => event.kek_id ?? []))].sort()
  return (
    <>
      <PageHead title="Audit">Who did what to the keys, newest first</PageHead>
      <div class="stack">
        {refusal !== null && <Note weight="warn">{refusal} The trail is not shown.</Note>}
        {problem && <Problem problem={problem} retry={() => void read(trail)} />}
        {refusal === null && trail === null && problem === null && <Loading what="the audit trail" />}
        {trail !== null && (
          <section class="card" aria-label="Audit trail">
            {trail.unreadable > 0 && (
              <Note weight="bad">Some pages of the trail could not be read: see the log of the service.</Note>
            )}
            <div class="fields">
              <SelectField
                label="Action"
                value={action}
                onChange={setAction}
                options={[
                  ['', 'Every action'],
                  ...actions.map((each) => [each, each.replaceAll('_', ' ')] as const),
                ]}
              />
              <SelectField
                label="KEK"
                value={kekId}
                onChange={setKekId}
                options={[['', 'Every KEK'], ...kekIds.map((each) => [each, each] as const)]}
              />
            </div>
            {shown.length === 0 ? (
              <Nothing title="Nothing was done" icon="audit">
                Promotions, rotations and retirements appear here.
              </Nothing>
            ) : (
              <Days entries={shown} />
            )}
            {trail.next !== undefined && (
              <Button refusal={isBusy ? 'It is being read.' : null} onClick={() => void read(trail)}>
                Show older
              </Button>
            )}
          </section>
        )}
      </div>
    </>
  )
}

function Days({ entries }: { readonly entries: readonly AuditEntry[] }): JSX.Element {
  return (
    <>
      {byDay(entries).map(([day, own]) => (
        <div key={day}>
          <h2 class="day">{day}</h2>
          <ol class="timeline">
            {own.map((entry) => (
              <AuditItem key={entry.id} entry={entry} />
            ))}
          </ol>
        </div>
      ))}
    </>
  )
}

/** The entries of each day, in the order given. */
function byDay(entries: readonly AuditEntry[]): readonly (readonly [day: string, own: AuditEntry[]])[] {
  const days = new Map<string, AuditEntry[]>()
  for (const entry of entries) {
    const day = dayOf(entry.event.at)
    const own = days.get(day) ?? []
    own.push(entry)
    days.set(day, own)
  }
  return [...days]
}

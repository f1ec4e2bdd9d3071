import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { Certificate, KekStatus } from '../../api/types.ts'
import { Badge, Loading, Note, Problem } from '../../design/feedback.tsx'
import { PageHead } from '../../design/page.tsx'
import { useInstances } from '../../live/states.ts'
import type { PageProps } from '../../shell.tsx'
import { newerFirst } from '../../words/keks.ts'
import { inWords, many } from '../../words/numbers.ts'
import { ActiveRotation } from './active-rotation.tsx'
import { RetiredDialog } from './certificate-file.tsx'
import { KekCard } from './kek-card.tsx'
import { RemovalCard } from './removal-card.tsx'

/** After years of rotations there are many of them, and nothing to do with any. */
const MOST_RETIRED_OPEN = 2

/** Where every KEK is in its life, and whether an old one can go. */
export function OverviewPage({ keks }: PageProps): JSX.Element {
  const { data, problem, isLoading, refresh } = keks
  return (
    <>
      <PageHead title="Overview">
        {data === null
          ? 'Keys and secrets'
          : `Keyring domain ${data.namespace}, epoch ${data.epoch ?? 'none'}`}
      </PageHead>
      <div class="stack">
        {problem && <Problem problem={problem} retry={refresh} />}
        {isLoading && <Loading what="the state of the keys" />}
        {data && <State status={data} refresh={refresh} />}
      </div>
    </>
  )
}

function State({
  status,
  refresh,
}: {
  readonly status: KekStatus
  readonly refresh: () => void
}): JSX.Element {
  const { counts, fleet } = status
  const [certificate, setCertificate] = useState<Certificate | null>(null)
  const newestFirst = [...status.keks].sort(newerFirst)
  const retired = newestFirst.filter(({ state }) => state === 'retired')
  const inUse = newestFirst.filter(({ state }) => state !== 'retired')
  const instances = useInstances().data?.instances ?? []
  const shared = { status, instances, refresh, onRetired: setCertificate }
  const stale = Object.values(status.stale_counts).reduce((sum, count) => sum + count, 0)
  const isLess = counts.at_least.length > 0
  return (
    <>
      <Warnings status={status} />
      <ActiveRotation />
      <dl class="tiles">
        <div>
          <dt>Current KEK</dt>
          <dd class="mono">
            {status.current_kek_id ?? 'none'}
            <small>
              {status.pending ? `${status.pending.kek_id} is to follow` : 'new values go under it'}
            </small>
          </dd>
        </div>
        <div>
          <dt>Secrets</dt>
          <dd>
            {inWords(counts.records)}
            {isLess && '+'}
            <small>
              {counts.level === 'strong' ? 'counted for this page' : 'count is no proof on this store'}
            </small>
          </dd>
        </div>
        <div>
          <dt>Stale</dt>
          <dd>
            {inWords(stale)}
            {isLess && '+'}
            <small>
              {stale === 0 ? 'everything is under the target' : `not under ${status.target_kek_id} yet`}
            </small>
          </dd>
        </div>
        <div>
          <dt>Instances</dt>
          <dd>
            {inWords(fleet.live)}
            <small>
              {fleet.disagreeing > 0
                ? `${inWords(fleet.disagreeing)} not in agreement`
                : fleet.silent > 0
                  ? `${inWords(fleet.silent)} silent`
                  : 'all in agreement'}
            </small>
          </dd>
        </div>
      </dl>
      {certificate && <RetiredDialog certificate={certificate} onClose={() => setCertificate(null)} />}
      <RemovalCard status={status} refresh={refresh} />
      <section class="card" aria-labelledby="keks">
        <header>
          <div>
            <h2 id="keks">Life of the KEKs</h2>
            <p>{many(status.keks.length, 'KEK')} known to this keyring domain or to this instance</p>
          </div>
          {status.ready ? <Badge look="ok">Ready</Badge> : <Badge look="bad">Not ready</Badge>}
        </header>
        <div class="keks">
          {inUse.map((kek) => (
            <KekCard key={kek.id} kek={kek} {...shared} />
          ))}
          {retired.length > 0 && (
            <details open={retired.length <= MOST_RETIRED_OPEN}>
              <summary>{many(retired.length, 'retired KEK')}</summary>
              <div class="keks below">
                {retired.map((kek) => (
                  <KekCard key={kek.id} kek={kek} {...shared} />
                ))}
              </div>
            </details>
          )}
        </div>
      </section>
    </>
  )
}

function Warnings({ status }: { readonly status: KekStatus }): JSX.Element {
  const { pending } = status
  return (
    <>
      {!status.ready && (
        <Note weight="bad">
          <strong>This instance is not ready.</strong>
          <ul>
            {status.reasons.map(({ message }) => (
              <li key={message} class="break">
                {message}
              </li>
            ))}
          </ul>
        </Note>
      )}
      {pending && (
        <Note weight="warn">
          <strong>
            {pending.kek_id} waits for {many(pending.waiting_for.length, 'instance')} before it becomes
            current.
          </strong>
          <ul>
            {pending.waiting_for.map((instance) => (
              <li key={instance.instance_id} class="break">
                {instance.message}
              </li>
            ))}
          </ul>
        </Note>
      )}
      {status.notices.map((notice) => (
        <Note key={notice}>
          <span class="break">{notice}</span>
        </Note>
      ))}
    </>
  )
}

import type { JSX } from 'preact'
import type { Instance, InstanceList, Kek } from '../../api/types.ts'
import { Badge, type BadgeLook, Loading, Note, Nothing, Problem } from '../../design/feedback.tsx'
import { PageHead } from '../../design/page.tsx'
import { ScrollRegion } from '../../design/scroll-region.tsx'
import { useInstances } from '../../live/states.ts'
import type { PageProps } from '../../shell.tsx'
import { lacking } from '../../words/fleet.ts'
import { STATE_LABELS } from '../../words/keks.ts'
import { duration, many, momentOf, short } from '../../words/numbers.ts'

const HOLDINGS: Readonly<Record<Instance['keks'][string]['holding'], readonly [BadgeLook, string]>> = {
  held: ['ok', 'Held'],
  decrypt_only: ['info', 'Decrypt-only'],
  untested: ['warn', 'Not tested'],
  other_bytes: ['bad', 'Other bytes'],
  missing: ['', 'Missing'],
}

/** Which instance holds which KEK, and who has not followed yet. */
export function InstancesPage({ keks }: PageProps): JSX.Element {
  const { data, problem, isLoading, refresh } = useInstances()
  return (
    <>
      <PageHead title="Instances">Which process holds which KEK, and who has not followed yet</PageHead>
      <div class="stack">
        {problem && <Problem problem={problem} retry={refresh} />}
        {isLoading && <Loading what="the instances" />}
        {data &&
          (data.instances.length === 0 ? (
            <section class="card">
              <Nothing title="No instance reports itself" icon="instances">
                Instances that are opened with a fleet appear here with their first heartbeat.
              </Nothing>
            </section>
          ) : (
            <>
              <Followers list={data} />
              {(keks.data?.keks ?? []).map(
                (kek) => kek.state === 'provisioned' && <Wanting key={kek.id} kekId={kek.id} list={data} />,
              )}
              <Matrix list={data} keks={keks.data?.keks ?? []} />
            </>
          ))}
      </div>
    </>
  )
}

function Followers({ list }: { readonly list: InstanceList }): JSX.Element {
  const behind = list.instances.filter(
    ({ state, role, agrees }) => state === 'live' && role !== 'observer' && !agrees,
  )
  if (behind.length === 0) {
    return (
      <Note weight="ok">
        <strong>Every live instance has followed.</strong> Each has seen epoch {list.epoch ?? 'none'} and
        holds every KEK that is needed.
      </Note>
    )
  }
  return (
    <Note weight="warn">
      <strong>
        {many(behind.length, 'instance')} {behind.length === 1 ? 'has' : 'have'} not followed yet.
      </strong>
      <ul>
        {behind.map((instance) => (
          <li key={instance.instance_id} class="break">
            {instance.process}: {faultOf(instance, list.epoch)}
          </li>
        ))}
      </ul>
    </Note>
  )
}

/** Whom the promotion of a KEK would wait for. */
function Wanting({
  kekId,
  list,
}: {
  readonly kekId: string
  readonly list: InstanceList
}): JSX.Element | null {
  const without = lacking(list.instances, kekId)
  if (without.length === 0) return null
  return (
    <Note>
      <strong>{kekId} cannot be promoted yet.</strong> Give it to{' '}
      <span class="break">{without.map(({ process }) => process).join(', ')}</span> first.
    </Note>
  )
}

function faultOf({ epoch_seen, role, keks }: Instance, epoch: number | null): string {
  if (role === 'unknown') return 'what it reports cannot be read by this version.'
  if (epoch !== null && epoch_seen < epoch) return `has seen epoch ${epoch_seen}, not ${epoch}.`
  const lacks = Object.entries(keks).filter(([, { holding }]) => holding !== 'held')
  return lacks.map(([id, { holding }]) => `${id}: ${HOLDINGS[holding][1].toLowerCase()}`).join(', ')
}

function Matrix({ list, keks }: { readonly list: InstanceList; readonly keks: readonly Kek[] }): JSX.Element {
  const ids = [...new Set(list.instances.flatMap((instance) => Object.keys(instance.keks)))].sort()
  const stateOf = (id: string): string => {
    const kek = keks.find((each) => each.id === id)
    return kek === undefined ? '' : STATE_LABELS[kek.state]
  }
  return (
    <section class="card flush matrix" aria-labelledby="matrix">
      <header>
        <div>
          <h2 id="matrix">Instances and KEKs</h2>
          <p>
            {many(list.instances.length, 'instance')}, epoch {list.epoch ?? 'none'}
          </p>
        </div>
      </header>
      <ScrollRegion label="Which instance holds which KEK">
        <table>
          <thead>
            <tr>
              <th scope="col">Instance</th>
              <th scope="col">State</th>
              <th scope="col">Epoch</th>
              <th scope="col">Wishes</th>
              {ids.map((id) => (
                <th key={id} scope="col">
                  <span class="mono">{id}</span> {stateOf(id)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {list.instances.map((instance) => (
              <InstanceRow
                key={instance.instance_id}
                instance={instance}
                ids={ids}
                epoch={list.epoch}
                currentKekId={keks.find(({ state }) => state === 'current')?.id ?? null}
              />
            ))}
          </tbody>
        </table>
      </ScrollRegion>
    </section>
  )
}

function InstanceRow({
  instance,
  ids,
  epoch,
  currentKekId,
}: {
  readonly instance: Instance
  readonly currentKekId: string | null
  readonly ids: readonly string[]
  readonly epoch: number | null
}): JSX.Element {
  const { process, role, state, age_ms, started_at, epoch_seen, wished_kek_id, agrees } = instance
  return (
    <tr>
      <th scope="row">
        <span class="break">{process}</span>
        <br />
        <span class="muted mono" title={instance.instance_id}>
          {short(instance.instance_id)}
        </span>
        {role !== 'member' && <span class="muted"> {role}</span>}
      </th>
      <td>
        {state === 'silent' ? (
          <Badge>Silent</Badge>
        ) : agrees || role === 'observer' ? (
          <Badge look="ok">Live</Badge>
        ) : (
          <Badge look="warn">Has not followed</Badge>
        )}
        <br />
        <span class="muted number">
          {state === 'silent'
            ? `last heard ${duration(age_ms)} ago`
            : started_at !== null && `since ${momentOf(started_at)}`}
        </span>
      </td>
      <td class="number">
        {epoch_seen}
        {epoch !== null && epoch_seen < epoch && <span class="muted"> of {epoch}</span>}
      </td>
      <td class="mono">{wished_kek_id ?? '—'}</td>
      {ids.map((id) => {
        const { holding, fingerprint } = instance.keks[id] ?? { holding: 'missing', fingerprint: null }
        const [look, words] = HOLDINGS[holding]
        const isWanted = holding === 'missing' && id === currentKekId
        return (
          <td key={id}>
            <div class="held">
              <Badge look={isWanted ? 'bad' : look}>{words}</Badge>
              {fingerprint !== null && <code class="muted">{fingerprint}</code>}
            </div>
          </td>
        )
      })}
    </tr>
  )
}

import type { JSX } from 'preact'
import { useMemo, useState } from 'preact/hooks'
import { Button } from '../../design/button.tsx'
import { Loading, Note, Nothing, Problem } from '../../design/feedback.tsx'
import { SelectField, TextField } from '../../design/field.tsx'
import { PageHead } from '../../design/page.tsx'
import { useSession } from '../../session/session.ts'
import type { PageProps } from '../../shell.tsx'
import { inWords, many } from '../../words/numbers.ts'
import { DeleteDialog } from './delete-dialog.tsx'
import { PutDialog } from './put-dialog.tsx'
import { useSecretCatalogue } from './secret-catalogue.ts'
import { SecretTable } from './secret-table.tsx'

/** Names, versions and KEKs of all secrets. No value is ever shown: the API has no way to ask for one. */
export function SecretsPage({ keks }: PageProps): JSX.Element {
  const { permissions } = useSession()
  const refusal = permissions.refusal('listSecrets')
  const { secrets, isReading, hasMore, problem, readMore, readAgain } = useSecretCatalogue(refusal === null)
  const [search, setSearch] = useState('')
  const [kekId, setKekId] = useState('')
  const [isPutting, setPutting] = useState(false)
  const [deleted, setDeleted] = useState<string | null>(null)

  const searchable = useMemo(() => secrets.map(({ name }) => name.toLowerCase()), [secrets])
  const shown = useMemo(() => {
    const wanted = search.trim().toLowerCase()
    return secrets.filter(
      (secret, index) =>
        (kekId === '' || secret.key_id === kekId) && (wanted === '' || searchable[index]?.includes(wanted)),
    )
  }, [secrets, searchable, search, kekId])
  const kekIds = useMemo(() => [...new Set(secrets.flatMap(({ key_id }) => key_id ?? []))].sort(), [secrets])
  const isNarrowed = search.trim() !== '' || kekId !== ''
  const changed = (): void => {
    setPutting(false)
    setDeleted(null)
    readAgain()
    keks.refresh()
  }

  return (
    <>
      <PageHead
        title="Secrets"
        actions={
          <Button
            look="primary"
            icon="plus"
            refusal={permissions.refusal('putSecret')}
            onClick={() => setPutting(true)}
          >
            Store a secret
          </Button>
        }
      >
        Names and metadata; values go in and never come out
      </PageHead>
      <div class="stack">
        {refusal !== null && <Note weight="warn">{refusal} Names are not shown.</Note>}
        {problem && <Problem problem={problem} retry={readAgain} />}
        {refusal === null && (
          <section class="card flush" aria-label="Secrets">
            <div class="list-tools">
              <div class="search">
                <TextField
                  label="Search by name"
                  type="search"
                  value={search}
                  onInput={setSearch}
                  placeholder="Search by name"
                  autoComplete="off"
                  isBare
                />
              </div>
              <div class="narrow">
                <SelectField
                  label="KEK"
                  value={kekId}
                  onChange={setKekId}
                  options={[['', 'Every KEK'], ...kekIds.map((id) => [id, `Under ${id}`] as const)]}
                  isBare
                />
              </div>
            </div>
            {secrets.length === 0 && isReading ? (
              <div class="nothing">
                <Loading what="the secrets" />
              </div>
            ) : shown.length === 0 && problem === null ? (
              isNarrowed ? (
                <Nothing title="No secret fits" icon="secrets">
                  Search for another piece of the name, or choose every KEK.
                </Nothing>
              ) : (
                <Nothing title="No secret yet" icon="secrets">
                  Your programs store secrets with vault.put, and you can store one here.
                </Nothing>
              )
            ) : (
              <SecretTable secrets={shown} onDelete={setDeleted} />
            )}
            <div class="list-foot">
              <span role="status">
                {isNarrowed
                  ? `${inWords(shown.length)} of ${many(secrets.length, 'secret')}`
                  : many(secrets.length, 'secret')}
                {isReading && ', reading on'}
                {hasMore && ' and more'}
              </span>
              {hasMore && <Button onClick={readMore}>Read more</Button>}
            </div>
          </section>
        )}
      </div>
      {isPutting && <PutDialog onClose={() => setPutting(false)} onDone={changed} />}
      {deleted !== null && <DeleteDialog name={deleted} onClose={() => setDeleted(null)} onDone={changed} />}
    </>
  )
}

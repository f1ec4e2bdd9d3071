import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { Certificate, Instance, Kek, KekStatus } from '../../api/types.ts'
import { Button } from '../../design/button.tsx'
import { useSession } from '../../session/session.ts'
import { PromoteDialog, ResumeDialog, SuspendDialog } from './change-dialogs.tsx'
import { RetireDialog } from './retire-dialog.tsx'

type Verb = 'promote' | 'suspend' | 'resume' | 'retire'

/** What can be done with a KEK in its state. */
export function KekActions({
  kek,
  status,
  instances,
  refresh,
  onRetired,
}: {
  readonly kek: Kek
  readonly status: KekStatus
  readonly instances: readonly Instance[]
  readonly refresh: () => void
  readonly onRetired: (certificate: Certificate) => void
}): JSX.Element {
  const { permissions } = useSession()
  const [asked, setAsked] = useState<Verb | null>(null)
  const close = (): void => setAsked(null)
  const done = (): void => {
    close()
    refresh()
  }
  const shared = { kek, status, instances, onClose: close, onDone: done, onRetired }
  return (
    <div class="row">
      {kek.state === 'provisioned' && (
        <Button
          look="primary"
          label={`Promote ${kek.id}`}
          refusal={permissions.refusal('promoteKek')}
          onClick={() => setAsked('promote')}
        >
          Promote
        </Button>
      )}
      {kek.state === 'decrypt-only' && (
        <Button
          label={`Suspend ${kek.id}`}
          refusal={
            permissions.refusal('suspendKek') ??
            (kek.records > 0 ? 'Secrets are under it: rotate first.' : null)
          }
          onClick={() => setAsked('suspend')}
        >
          Suspend
        </Button>
      )}
      {kek.state === 'suspended' && (
        <Button
          label={`Resume ${kek.id}`}
          refusal={permissions.refusal('resumeKek')}
          onClick={() => setAsked('resume')}
        >
          Resume
        </Button>
      )}
      {(kek.state === 'decrypt-only' || kek.state === 'suspended') && (
        <Button
          look="danger"
          label={`Retire ${kek.id}`}
          refusal={permissions.refusal('retireKek')}
          onClick={() => setAsked('retire')}
        >
          Retire
        </Button>
      )}
      {asked === 'promote' && <PromoteDialog {...shared} />}
      {asked === 'suspend' && <SuspendDialog {...shared} />}
      {asked === 'resume' && <ResumeDialog {...shared} />}
      {asked === 'retire' && <RetireDialog {...shared} />}
    </div>
  )
}

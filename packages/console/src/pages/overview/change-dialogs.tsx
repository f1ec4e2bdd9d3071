import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ApiProblem } from '../../api/problem.ts'
import type { Certificate, Instance, Kek, KekStatus } from '../../api/types.ts'
import { Dialog } from '../../design/dialog.tsx'
import { TextField } from '../../design/field.tsx'
import { useSession } from '../../session/session.ts'
import { lacking } from '../../words/fleet.ts'
import { LeaveOut } from './leave-out.tsx'

/** What every question about a KEK is asked with. */
export interface KekDialogProps {
  readonly kek: Kek
  readonly status: KekStatus
  readonly instances: readonly Instance[]
  readonly onClose: () => void
  readonly onDone: () => void
  /** Told what a retirement rests on. */
  readonly onRetired: (certificate: Certificate) => void
}

/**
 * Does what was confirmed, at the epoch that was shown when the question came up.
 *
 * @returns What the server answered; `null` when the keys were at another epoch, which the page then shows.
 */
export function useKekChange({ kek, status, onDone }: KekDialogProps) {
  const { client, announce } = useSession()
  // What comes in behind the question is not what was asked about.
  const [epochShown] = useState(status.epoch)
  return async (
    verb: 'promote' | 'suspend' | 'resume' | 'retire',
    body: Readonly<Record<string, unknown>>,
    said: string,
    epoch = epochShown,
  ): Promise<unknown> => {
    const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== ''))
    let answer: unknown
    try {
      answer = await client.changeKek(kek.id, verb, given, epoch)
    } catch (error) {
      if (error instanceof ApiProblem && error.status === 412) {
        announce('bad', 'The keys were changed by somebody else meanwhile. Nothing was done.')
        onDone()
        return null
      }
      throw error
    }
    announce('ok', said)
    onDone()
    return answer
  }
}

export function ReasonField({
  value,
  onInput,
  hint = 'For the audit trail; one line.',
}: {
  readonly value: string
  readonly onInput: (text: string) => void
  readonly hint?: string
}): JSX.Element {
  return <TextField label="Reason" value={value} onInput={onInput} hint={hint} autoComplete="off" />
}

export function PromoteDialog(props: KekDialogProps): JSX.Element {
  const { kek, status, instances, onClose } = props
  const change = useKekChange(props)
  const [reason, setReason] = useState('')
  const [leftOut, setLeftOut] = useState<readonly string[]>([])
  const missing = lacking(instances, kek.id)
  const skipped = leftOut.filter((id) => missing.some(({ instance_id }) => instance_id === id))
  return (
    <Dialog
      title={`Make ${kek.id} current?`}
      verb="Promote"
      onClose={onClose}
      onConfirm={async () => {
        const skipping = skipped.length === 0 ? {} : { skip_instances: skipped }
        await change('promote', { reason, ...skipping }, `${kek.id} is current now.`)
      }}
      refusal={skipped.length > 0 && reason === '' ? 'Give the reason for leaving an instance out.' : null}
      typed={{ text: kek.id, label: `Type ${kek.id} to confirm` }}
    >
      <p>
        From then on new values go under <code>{kek.id}</code>, and <code>{status.current_kek_id}</code> only
        opens what is under it. Every live instance must hold <code>{kek.id}</code>; whoever does not is named
        and nothing is changed.
      </p>
      {missing.length > 0 && (
        <LeaveOut instances={missing} kekId={kek.id} leftOut={skipped} onChange={setLeftOut} />
      )}
      <ReasonField value={reason} onInput={setReason} />
    </Dialog>
  )
}

export function SuspendDialog(props: KekDialogProps): JSX.Element {
  const { kek, onClose } = props
  const change = useKekChange(props)
  const [reason, setReason] = useState('')
  return (
    <Dialog
      title={`Suspend ${kek.id}?`}
      verb="Suspend"
      isDangerous
      onClose={onClose}
      onConfirm={async () => void (await change('suspend', { reason }, `${kek.id} is suspended.`))}
      typed={{ text: kek.id, label: `Type ${kek.id} to confirm` }}
    >
      <p>
        The rehearsal of its removal: with its next heartbeat every instance refuses to open anything under{' '}
        <code>{kek.id}</code> and tells who tries. Resuming undoes it at once.
      </p>
      <ReasonField value={reason} onInput={setReason} />
    </Dialog>
  )
}

export function ResumeDialog(props: KekDialogProps): JSX.Element {
  const { kek, onClose } = props
  const change = useKekChange(props)
  const [reason, setReason] = useState('')
  return (
    <Dialog
      title={`Resume ${kek.id}?`}
      verb="Resume"
      onClose={onClose}
      onConfirm={async () =>
        void (await change('resume', { reason }, `${kek.id} opens what is under it again.`))
      }
    >
      <p>
        <code>{kek.id}</code> is decrypt-only again: it opens what is under it and takes nothing new.
      </p>
      <ReasonField value={reason} onInput={setReason} />
    </Dialog>
  )
}

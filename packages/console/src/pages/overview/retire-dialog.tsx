import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { Certificate } from '../../api/types.ts'
import { Dialog } from '../../design/dialog.tsx'
import { Loading, Note, Problem } from '../../design/feedback.tsx'
import { TextField } from '../../design/field.tsx'
import { useResource } from '../../live/resource.ts'
import { useSession } from '../../session/session.ts'
import { type KekDialogProps, ReasonField, useKekChange } from './change-dialogs.tsx'

/** Asks before a KEK is gone for good. The gate decides once more on the server, at the same epoch. */
export function RetireDialog(props: KekDialogProps): JSX.Element {
  const { kek, onClose, onRetired } = props
  const { client } = useSession()
  const change = useKekChange(props)
  const [reason, setReason] = useState('')
  const [advisory, setAdvisory] = useState('')
  const [loss, setLoss] = useState('')
  const gate = useResource(`retire ${kek.id}`, (signal) => client.retirement(kek.id, undefined, { signal }))
  const needs = needsOf(gate.data)
  const missing =
    gate.data === null
      ? 'The gate is being asked.'
      : needs.others > 0
        ? 'The gate says no: see the blockers on the overview.'
        : (needs.advisory && advisory === '') || (needs.loss && loss === '')
          ? 'Give each reason that is asked for.'
          : null
  return (
    <Dialog
      title={`Retire ${kek.id} for good?`}
      verb="Retire for good"
      isDangerous
      onClose={onClose}
      typed={{ text: kek.id, label: `Type ${kek.id} to confirm` }}
      refusal={missing}
      onConfirm={async () => {
        const certificate = await change(
          'retire',
          { reason, accept_advisory: advisory, accept_loss_of_backups: loss },
          `${kek.id} is retired. Its bytes can be taken out of every key source.`,
          gate.data?.epoch,
        )
        if (certificate !== null) onRetired(certificate as Certificate)
      }}
    >
      <p>
        This cannot be undone: the id is never used again, and what is under <code>{kek.id}</code> in backups
        can only be opened with its escrow.
      </p>
      {gate.isLoading && <Loading what="the answer of the gate" />}
      {gate.problem && <Problem problem={gate.problem} retry={gate.refresh} />}
      {gate.data?.verdict === 'SAFE' && (
        <Note weight="ok">The gate says it is safe, at epoch {gate.data.epoch}.</Note>
      )}
      {needs.others > 0 && (
        <Note weight="bad">
          <strong>The gate says it is not safe.</strong> The overview lists what stands in the way.
        </Note>
      )}
      {needs.advisory && (
        <TextField
          label="Why an advisory verdict is good enough"
          value={advisory}
          onInput={setAdvisory}
          hint="The store cannot promise that its count is complete."
          autoComplete="off"
        />
      )}
      {needs.loss && (
        <TextField
          label="Why the loss of its backups does no harm"
          value={loss}
          onInput={setLoss}
          hint="No escrow was recorded: backups under this KEK could never be read again."
          autoComplete="off"
        />
      )}
      <ReasonField value={reason} onInput={setReason} />
    </Dialog>
  )
}

/** What an operator can answer for by a reason, and how much cannot be answered for. */
function needsOf(certificate: Certificate | null) {
  const reasons = certificate?.reasons ?? []
  const loss = reasons.some(({ code }) => code === 'escrow_not_recorded')
  const others = reasons.filter(({ code, weight }) => weight === 'blocks' && code !== 'escrow_not_recorded')
  const advisory = reasons.some(({ weight }) => weight === 'advises')
  const isUpToReasons = others.length === 0
  return { loss: loss && isUpToReasons, advisory: advisory && isUpToReasons, others: others.length }
}

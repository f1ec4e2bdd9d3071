import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { Dialog } from '../../design/dialog.tsx'
import { TextField } from '../../design/field.tsx'
import { useSession } from '../../session/session.ts'

const MOST_NAME_BYTES = 512

/** Takes a value in. It is shown as dots, sent once, and forgotten with the dialog. */
export function PutDialog({
  onClose,
  onDone,
}: {
  readonly onClose: () => void
  readonly onDone: () => void
}): JSX.Element {
  const { client, announce } = useSession()
  const [name, setName] = useState('')
  const [value, setValue] = useState('')
  const [isShown, setShown] = useState(false)
  const bytes = new TextEncoder().encode(name).length
  const fault = bytes > MOST_NAME_BYTES ? `At most ${MOST_NAME_BYTES} bytes; this has ${bytes}.` : null
  return (
    <Dialog
      title="Store a secret"
      verb="Store"
      refusal={name === '' ? 'Give it a name first.' : value === '' ? 'Give it a value first.' : fault}
      onClose={onClose}
      onConfirm={async () => {
        await client.putSecret({ name, value })
        announce('ok', `${name} is stored.`)
        onDone()
      }}
    >
      <p class="muted">
        A secret of the same name is replaced. The value cannot be read here afterwards, by nobody.
      </p>
      <TextField label="Name" value={name} onInput={setName} fault={fault} autoComplete="off" isMono />
      <TextField
        label="Value"
        value={value}
        onInput={setValue}
        isLong
        isMasked={!isShown}
        hint="Taken exactly as it is, with every space and line break."
        isMono
      />
      <label class="choice">
        <input
          type="checkbox"
          checked={isShown}
          onChange={(event) => setShown(event.currentTarget.checked)}
        />
        Show what I type
      </label>
    </Dialog>
  )
}

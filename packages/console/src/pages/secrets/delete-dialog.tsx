import type { JSX } from 'preact'
import { Dialog } from '../../design/dialog.tsx'
import { useSession } from '../../session/session.ts'

/** Asks before a secret is gone. */
export function DeleteDialog({
  name,
  onClose,
  onDone,
}: {
  readonly name: string
  readonly onClose: () => void
  readonly onDone: () => void
}): JSX.Element {
  const { client, announce } = useSession()
  return (
    <Dialog
      title="Delete this secret?"
      verb="Delete"
      isDangerous
      onClose={onClose}
      onConfirm={async () => {
        await client.deleteSecret(name)
        announce('ok', `${name} is deleted.`)
        onDone()
      }}
    >
      <p>
        <code class="break">{name}</code>
      </p>
      <p>This cannot be undone: what reads it finds nothing from now on.</p>
    </Dialog>
  )
}

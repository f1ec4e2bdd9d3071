import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { RotationVerb } from '../../api/client.ts'
import { ApiProblem } from '../../api/problem.ts'
import type { Rotation } from '../../api/types.ts'
import { Button } from '../../design/button.tsx'
import { Dialog } from '../../design/dialog.tsx'
import { useSession } from '../../session/session.ts'

const SAID: Readonly<Record<RotationVerb, string>> = {
  pause: 'The rotation is paused.',
  resume: 'The rotation goes on.',
  cancel: 'The rotation is cancelled.',
  'retry-failed': 'What is in quarantine is tried again.',
}

/** Acts on a rotation, and says what came of it. */
export function useRotationVerbs(rotation: Rotation, refresh: () => void) {
  const { client, announce } = useSession()
  return async (verb: RotationVerb): Promise<void> => {
    try {
      await client.changeRotation(rotation.id, verb)
      announce('ok', SAID[verb])
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error
      announce('bad', [error.message, ...error.reasons].join(' '))
    }
    refresh()
  }
}

/** What can be done with a rotation in its status. */
export function RotationActions({
  rotation,
  refresh,
}: {
  readonly rotation: Rotation
  readonly refresh: () => void
}): JSX.Element | null {
  const { permissions } = useSession()
  const act = useRotationVerbs(rotation, refresh)
  const [asksCancel, setAsksCancel] = useState(false)
  const { status, target_kek_id } = rotation
  if (status !== 'running' && status !== 'paused') return null
  return (
    <div class="row">
      {status === 'running' ? (
        <Button icon="pause" refusal={permissions.refusal('pauseRotation')} onClick={() => void act('pause')}>
          Pause
        </Button>
      ) : (
        <Button
          icon="play"
          look="primary"
          refusal={permissions.refusal('resumeRotation')}
          onClick={() => void act('resume')}
        >
          Resume
        </Button>
      )}
      <Button
        icon="stop"
        look="danger"
        refusal={permissions.refusal('cancelRotation')}
        onClick={() => setAsksCancel(true)}
      >
        Cancel
      </Button>
      {asksCancel && (
        <Dialog
          title="Cancel the rotation?"
          verb="Cancel the rotation"
          isDangerous
          typed={{ text: target_kek_id, label: `Type ${target_kek_id} to confirm` }}
          onClose={() => setAsksCancel(false)}
          onConfirm={async () => {
            await act('cancel')
            setAsksCancel(false)
          }}
        >
          <p>
            What was re-wrapped stays under <code>{target_kek_id}</code>; the rest stays where it is. A new
            rotation does the rest.
          </p>
        </Dialog>
      )}
    </div>
  )
}

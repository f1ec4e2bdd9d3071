import type { JSX } from 'preact'
import type { Instance } from '../../api/types.ts'
import { Note } from '../../design/feedback.tsx'

/** Chooses the instances that a promotion does not wait for: those that hang and cannot be stopped. */
export function LeaveOut({
  instances,
  kekId,
  leftOut,
  onChange,
}: {
  readonly instances: readonly Instance[]
  readonly kekId: string
  readonly leftOut: readonly string[]
  readonly onChange: (ids: readonly string[]) => void
}): JSX.Element {
  return (
    <Note weight="warn">
      <p>
        These do not hold <code>{kekId}</code>. Give it to them, or stop them. One that hangs and cannot be
        stopped can be left out: it fails to read what is written from then on.
      </p>
      <ul>
        {instances.map(({ instance_id, process }) => (
          <li key={instance_id}>
            <label class="choice">
              <input
                type="checkbox"
                checked={leftOut.includes(instance_id)}
                onChange={({ currentTarget: { checked } }) => {
                  const others = leftOut.filter((id) => id !== instance_id)
                  onChange(checked ? [...others, instance_id] : others)
                }}
              />
              <span class="break">Go on without {process}</span>
            </label>
          </li>
        ))}
      </ul>
    </Note>
  )
}

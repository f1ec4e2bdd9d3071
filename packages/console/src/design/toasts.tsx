import type { JSX } from 'preact'
import { Button } from './button.tsx'
import { Icon } from './icon.tsx'

export interface Toast {
  readonly id: number
  readonly tone: 'ok' | 'bad'
  readonly message: string
}

/** What has just happened. The region is there from the start, so that screen readers hear what comes into it. */
export function Toasts({
  toasts,
  dismiss,
}: {
  readonly toasts: readonly Toast[]
  readonly dismiss: (id: number) => void
}): JSX.Element {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.map(({ id, tone, message }) => (
        <div key={id} class={`toast ${tone}`}>
          <Icon name={tone === 'ok' ? 'check' : 'warn'} />
          <span class="break">{message}</span>
          <Button look="plain" label="Dismiss" onClick={() => dismiss(id)}>
            <Icon name="cross" size={14} />
          </Button>
        </div>
      ))}
    </div>
  )
}

import type { ComponentChildren, JSX } from 'preact'
import { Icon, type IconName } from './icon.tsx'

export interface ButtonProps {
  readonly children: ComponentChildren
  readonly onClick?: (() => void) | undefined
  readonly icon?: IconName
  readonly look?: 'primary' | 'danger' | 'plain' | 'danger primary' | undefined
  readonly type?: 'button' | 'submit'
  /** Why it does nothing now; it stays reachable, so that the reason can be read. */
  readonly refusal?: string | null | undefined
  readonly label?: string | undefined
}

/** A button that says why when it is disabled. */
export function Button(props: ButtonProps): JSX.Element {
  const { children, onClick, icon, look = '', type = 'button', refusal = null, label } = props
  const isRefused = refusal !== null
  return (
    <button
      type={type}
      class={`button ${look}`}
      aria-disabled={isRefused ? 'true' : undefined}
      aria-label={label === undefined ? undefined : isRefused ? `${label}. ${refusal}` : label}
      title={refusal ?? undefined}
      onClick={(event) => {
        if (isRefused) event.preventDefault()
        else onClick?.()
      }}
    >
      {icon && <Icon name={icon} size={16} />}
      {typeof children === 'string' ? <span>{children}</span> : children}
      {isRefused && label === undefined && <span class="unseen"> ({refusal})</span>}
    </button>
  )
}

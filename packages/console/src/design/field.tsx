import type { JSX } from 'preact'
import { useId } from 'preact/hooks'

export interface TextFieldProps {
  readonly label: string
  readonly value: string
  readonly onInput: (text: string) => void
  readonly hint?: string
  readonly fault?: string | null
  readonly type?: 'text' | 'password' | 'search'
  readonly autoComplete?: string
  readonly placeholder?: string
  readonly isMono?: boolean
  readonly isLong?: boolean
  /** Whether a long text is shown as dots. */
  readonly isMasked?: boolean
  /** Whether the label is for screen readers only. */
  readonly isBare?: boolean
}

/** A line of text with its label, hint and fault. */
export function TextField(props: TextFieldProps): JSX.Element {
  const {
    label,
    value,
    onInput,
    hint,
    fault = null,
    type = 'text',
    isMono,
    isLong,
    isMasked,
    isBare,
    ...rest
  } = props
  const id = useId()
  const told = [hint && `${id}-hint`, fault && `${id}-fault`].filter(Boolean).join(' ')
  const shared = {
    id,
    value,
    class: `input ${isMono ? 'mono' : ''} ${isMasked ? 'masked' : ''}`,
    'aria-describedby': told || undefined,
    'aria-invalid': fault === null ? undefined : ('true' as const),
    spellcheck: false,
    autoCapitalize: 'off' as const,
  }
  return (
    <div class="field">
      <label for={id} class={isBare ? 'unseen' : ''}>
        {label}
      </label>
      {isLong ? (
        <textarea {...shared} autoComplete="off" onInput={(event) => onInput(event.currentTarget.value)} />
      ) : (
        <input
          {...shared}
          {...rest} // The types tell inputs apart by this one; nothing here differs between them.
          type={type as 'text'}
          onInput={(event) => onInput(event.currentTarget.value)}
        />
      )}
      {hint && (
        <span id={`${id}-hint`} class="hint">
          {hint}
        </span>
      )}
      {fault && (
        <span id={`${id}-fault`} class="fault">
          {fault}
        </span>
      )}
    </div>
  )
}

export function SelectField({
  label,
  value,
  options,
  onChange,
  isBare,
}: {
  readonly label: string
  readonly value: string
  readonly options: readonly (readonly [value: string, label: string])[]
  readonly onChange: (value: string) => void
  readonly isBare?: boolean
}): JSX.Element {
  const id = useId()
  return (
    <div class="field">
      <label for={id} class={isBare ? 'unseen' : ''}>
        {label}
      </label>
      <select id={id} class="input" value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([option, text]) => (
          <option key={option} value={option}>
            {text}
          </option>
        ))}
      </select>
    </div>
  )
}

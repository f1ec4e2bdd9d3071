import type { ComponentChildren, JSX } from 'preact'
import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { ApiProblem } from '../api/problem.ts'
import { Button } from './button.tsx'
import { Problem } from './feedback.tsx'
import { TextField } from './field.tsx'

export interface DialogProps {
  readonly title: string
  readonly children: ComponentChildren
  /** What the button says. */
  readonly verb: string
  /** What the way out says. @defaultValue `Cancel` */
  readonly cancel?: string
  readonly isDangerous?: boolean
  /** A text that has to be typed before the button works. */
  readonly typed?: { readonly text: string; readonly label: string }
  /** Why the button does nothing yet. */
  readonly refusal?: string | null
  /** Does it; what it throws is shown, and the dialog stays. */
  readonly onConfirm: () => Promise<void>
  readonly onClose: () => void
}

/** Asks before something is done. The browser keeps the focus inside, and Escape closes it. */
export function Dialog(props: DialogProps): JSX.Element {
  const { title, children, verb, cancel = 'Cancel', isDangerous = false, typed, onConfirm, onClose } = props
  const element = useRef<HTMLDialogElement>(null)
  const heading = useId()
  const [text, setText] = useState('')
  const [isBusy, setBusy] = useState(false)
  const [problem, setProblem] = useState<ApiProblem | null>(null)

  useLayoutEffect(() => {
    const dialog = element.current
    const opener = document.activeElement
    dialog?.showModal()
    return () => {
      dialog?.close()
      // What opened it may be gone with what was done.
      const next = opener instanceof HTMLElement && opener.isConnected ? opener : document.querySelector('h1')
      next?.focus()
    }
  }, [])

  const isTyped = typed === undefined || text === typed.text
  const refusal = isBusy
    ? 'It is being done.'
    : isTyped
      ? (props.refusal ?? null)
      : `Type ${typed.text} first.`

  async function confirm(): Promise<void> {
    setBusy(true)
    setProblem(null)
    try {
      await onConfirm()
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error
      setProblem(error)
    } finally {
      setBusy(false)
    }
  }

  return (
    <dialog
      ref={element}
      class="dialog"
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault()
        onClose()
      }}
    >
      <form
        onSubmit={(event) => {
          event.preventDefault()
          if (refusal === null) void confirm()
        }}
      >
        <h2 id={heading}>{title}</h2>
        {children}
        {typed && <TextField label={typed.label} value={text} onInput={setText} autoComplete="off" isMono />}
        {problem && <Problem problem={problem} />}
        <footer>
          <Button look="plain" onClick={onClose}>
            {cancel}
          </Button>
          <Button type="submit" look={isDangerous ? 'danger primary' : 'primary'} refusal={refusal}>
            {verb}
          </Button>
        </footer>
      </form>
    </dialog>
  )
}

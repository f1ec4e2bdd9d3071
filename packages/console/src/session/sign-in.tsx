import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { ApiProblem } from '../api/problem.ts'
import { Button } from '../design/button.tsx'
import { Note, Problem } from '../design/feedback.tsx'
import { TextField } from '../design/field.tsx'
import { Icon } from '../design/icon.tsx'

/** Asks for the token. It goes into memory and nowhere else. */
export function SignIn({
  ending,
  signIn,
}: {
  /** Why the last session ended; `null` for none. */
  readonly ending: string | null
  readonly signIn: (token: string) => Promise<void>
}): JSX.Element {
  const [token, setToken] = useState('')
  const [isBusy, setBusy] = useState(false)
  const [problem, setProblem] = useState<ApiProblem | null>(null)
  const form = useRef<HTMLFormElement>(null)

  useEffect(() => {
    document.title = 'Sign in · Talos Envelope'
    form.current?.querySelector('input')?.focus()
  }, [])

  async function submit(): Promise<void> {
    setBusy(true)
    setProblem(null)
    try {
      await signIn(token.trim())
    } catch (error) {
      setProblem(error instanceof ApiProblem ? error : new ApiProblem(0, 'UNEXPECTED', 'The console failed.'))
      setBusy(false)
    }
  }

  return (
    <div class="sign-in">
      <main>
        <div class="brand">
          <span class="mark">
            <Icon name="mail" size={20} />
          </span>
          <span>
            Talos Envelope <small>Console of keys and secrets</small>
          </span>
        </div>
        {ending !== null && problem === null && (
          <Note weight="warn" isUrgent>
            {ending}
          </Note>
        )}
        <form
          ref={form}
          class="card"
          onSubmit={(event) => {
            event.preventDefault()
            if (!isBusy && token.trim() !== '') void submit()
          }}
        >
          <h1>Sign in</h1>
          <TextField
            label="Token"
            type="password"
            value={token}
            onInput={setToken}
            autoComplete="off"
            hint="One that the service knows. What it may do decides what you can do here."
            isMono
          />
          {problem &&
            (problem.status === 401 ? (
              <Note weight="bad" isUrgent>
                <strong>This token is not accepted.</strong> Look for characters that were lost in copying.
              </Note>
            ) : (
              <Problem problem={problem} />
            ))}
          <Button type="submit" look="primary" refusal={isBusy ? 'The token is being tried.' : null}>
            {isBusy ? 'Signing in' : 'Sign in'}
          </Button>
        </form>
        <p class="under">
          The token stays in the memory of this page. Reloading or closing it forgets the token.
        </p>
      </main>
    </div>
  )
}

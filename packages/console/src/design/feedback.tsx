import type { ComponentChildren, JSX } from 'preact'
import type { ApiProblem } from '../api/problem.ts'
import { adviceFor } from '../words/problems.ts'
import { Button } from './button.tsx'
import { Icon, type IconName } from './icon.tsx'

export type Weight = 'ok' | 'warn' | 'bad' | 'info'

const ICONS: Readonly<Record<Weight, IconName>> = { ok: 'check', warn: 'warn', bad: 'warn', info: 'info' }

export function Note({
  weight = 'info',
  children,
  isUrgent = false,
}: {
  readonly weight?: Weight
  readonly children: ComponentChildren
  /** Whether it is read out as soon as it is there. */
  readonly isUrgent?: boolean
}): JSX.Element {
  return (
    <div class={`note ${weight}`} role={isUrgent ? 'alert' : undefined}>
      <Icon name={ICONS[weight]} />
      <div>{children}</div>
    </div>
  )
}

export type BadgeLook = 'ok' | 'warn' | 'bad' | 'info' | 'accent' | 'quiet' | ''

export function Badge({
  look = '',
  children,
}: {
  readonly look?: BadgeLook
  readonly children: ComponentChildren
}): JSX.Element {
  return <span class={`badge ${look}`}>{children}</span>
}

/** Something that is being asked for. */
export function Loading({ what }: { readonly what: string }): JSX.Element {
  return (
    <div class="skeleton" role="status">
      <span class="unseen">Loading {what}.</span>
      <i />
      <i />
      <i />
    </div>
  )
}

/** A place where there could be something, and what would put it there. */
export function Nothing({
  title,
  icon = 'info',
  isSlim = false,
  children,
}: {
  readonly title: string
  readonly icon?: IconName
  /** For a card that has nothing else in it and others around it. */
  readonly isSlim?: boolean
  readonly children?: ComponentChildren
}): JSX.Element {
  return (
    <div class={`nothing ${isSlim ? 'slim' : ''}`}>
      <Icon name={icon} size={28} />
      <h3>{title}</h3>
      {children !== undefined && <p class="why">{children}</p>}
    </div>
  )
}

/** What went wrong, and what to do about it. */
export function Problem({
  problem,
  retry,
}: {
  readonly problem: ApiProblem
  readonly retry?: (() => void) | undefined
}): JSX.Element {
  return (
    <Note weight="bad" isUrgent>
      <p>
        <strong>{problem.message}</strong> {adviceFor(problem)}
      </p>
      {problem.reasons.length > 0 && (
        <ul>
          {problem.reasons.map((reason) => (
            <li key={reason} class="break">
              {reason}
            </li>
          ))}
        </ul>
      )}
      <p class="muted">
        <code>{problem.code}</code>
      </p>
      {retry && <Button onClick={retry}>Try again</Button>}
    </Note>
  )
}

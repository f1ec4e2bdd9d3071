import type { JSX } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Secret } from '../../api/types.ts'
import { Button } from '../../design/button.tsx'
import { Icon } from '../../design/icon.tsx'
import { useSession } from '../../session/session.ts'
import { momentOf } from '../../words/numbers.ts'

/** As the style sheet has it. */
const ROW_PIXELS = 44
/** Rows beyond the edge, so that scrolling shows no gap. */
const BEYOND = 12

/** A list of any length, of which only what can be seen is in the page. */
export function SecretTable({
  secrets,
  onDelete,
}: {
  readonly secrets: readonly Secret[]
  readonly onDelete: (name: string) => void
}): JSX.Element {
  const { permissions } = useSession()
  const refusal = permissions.refusal('deleteSecret')
  const place = useRef<HTMLElement>(null)
  const [view, setView] = useState({ top: 0, height: 640 })

  // Another search begins at its start.
  useEffect(() => {
    place.current?.scrollTo(0, 0)
  }, [secrets])

  useLayoutEffect(() => {
    const element = place.current
    if (element === null) return
    const look = (): void => setView({ top: element.scrollTop, height: element.clientHeight })
    look()
    const sizes = new ResizeObserver(look)
    sizes.observe(element)
    element.addEventListener('scroll', look, { passive: true })
    return () => {
      sizes.disconnect()
      element.removeEventListener('scroll', look)
    }
  }, [])

  const first = Math.max(0, Math.min(Math.floor(view.top / ROW_PIXELS), secrets.length) - BEYOND)
  const last = Math.min(secrets.length, first + Math.ceil(view.height / ROW_PIXELS) + 2 * BEYOND)
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: without a place for the focus a keyboard cannot scroll it
    <section ref={place} class="long-list" tabIndex={0} aria-label="List of secrets">
      <table aria-rowcount={secrets.length + 1}>
        <thead>
          <tr aria-rowindex={1}>
            <th scope="col">Name</th>
            <th scope="col" class="column-key">
              KEK
            </th>
            <th scope="col" class="column-version end">
              Version
            </th>
            <th scope="col" class="column-time">
              Written
            </th>
            <th scope="col" class="column-time">
              Re-wrapped
            </th>
            <th scope="col" class="column-act">
              <span class="unseen">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          <Gap rows={first} />
          {secrets.slice(first, last).map((secret, index) => (
            <tr key={secret.name} aria-rowindex={first + index + 2}>
              <th scope="row" class="name" title={secret.name}>
                {secret.name}
              </th>
              <td class="column-key mono">{secret.key_id ?? 'unknown'}</td>
              <td class="column-version end number">{secret.version ?? '—'}</td>
              <td class="column-time number">
                {secret.updated_at === null ? 'unknown' : momentOf(secret.updated_at)}
              </td>
              <td class="column-time number muted">
                {secret.rotated_at === null ? 'never' : momentOf(secret.rotated_at)}
              </td>
              <td class="column-act end">
                <Button
                  look="plain"
                  label={`Delete ${secret.name}`}
                  refusal={refusal}
                  onClick={() => onDelete(secret.name)}
                >
                  <Icon name="trash" size={16} />
                </Button>
              </td>
            </tr>
          ))}
          <Gap rows={secrets.length - last} />
        </tbody>
      </table>
    </section>
  )
}

/** The room of rows that are not in the page. Its height is set through the object model, which the page's policy allows. */
function Gap({ rows }: { readonly rows: number }): JSX.Element | null {
  if (rows === 0) return null
  return (
    // biome-ignore lint/a11y/noAriaHiddenOnFocusable: a table row takes no focus
    <tr class="gap" aria-hidden="true">
      <td style={{ height: `${rows * ROW_PIXELS}px` }} />
    </tr>
  )
}

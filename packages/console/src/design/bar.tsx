import type { JSX } from 'preact'

/** A part of a whole. Widths are attributes of the drawing: the page's policy takes no inline styles. */
export function Bar({
  part,
  total,
  label,
  look = '',
}: {
  readonly part: number
  readonly total: number
  readonly label: string
  readonly look?: string
}): JSX.Element {
  const share = total > 0 ? Math.min(1, part / total) : 0
  // What is not nothing is seen.
  const width = share === 0 ? 0 : Math.max(0.6, share * 100)
  return (
    <svg
      class={`bar ${look}`}
      viewBox="0 0 100 1"
      preserveAspectRatio="none"
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.floor(share * 100)}
    >
      <rect width={width} height="1" />
    </svg>
  )
}

import type { ComponentChildren, JSX } from 'preact'

/** A wide table that scrolls by itself, so that the page never does sideways. */
export function ScrollRegion({
  label,
  children,
}: {
  readonly label: string
  readonly children: ComponentChildren
}): JSX.Element {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: without a place for the focus a keyboard cannot scroll it
    <section class="scroll" tabIndex={0} aria-label={label}>
      {children}
    </section>
  )
}

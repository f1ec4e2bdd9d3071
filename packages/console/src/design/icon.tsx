import type { JSX } from 'preact'

/** Strokes on a grid of 20 by 20. */
const PATHS = {
  overview: 'M3 3h6v7H3zM11 3h6v4h-6zM11 9.5h6V17h-6zM3 12.5h6V17H3z',
  rotation: 'M16.5 8A7 7 0 0 0 4 6.2M4 3v3.5h3.5M3.5 12A7 7 0 0 0 16 13.8M16 17v-3.5h-3.5',
  instances: 'M3 4h14v5H3zM3 11h14v5H3zM6 6.5h.01M6 13.5h.01M9 6.5h5M9 13.5h5',
  secrets: 'M5 9h10v8H5zM7 9V6.5a3 3 0 0 1 6 0V9M10 12v2',
  audit: 'M4 4h12M4 8h12M4 12h8M4 16h5M14 13v2.5l1.5 1',
  check: 'M4.5 10.5 8 14l7.5-8',
  cross: 'M5 5l10 10M15 5 5 15',
  warn: 'M10 3 2.5 16.5h15zM10 8v4M10 14.2h.01',
  info: 'M10 17.5a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15zM10 9v5M10 6.2h.01',
  sun: 'M10 13.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM10 2v1.5M10 16.5V18M2 10h1.5M16.5 10H18M4.3 4.3l1.1 1.1M14.6 14.6l1.1 1.1M4.3 15.7l1.1-1.1M14.6 5.4l1.1-1.1',
  moon: 'M16 12.5A6.5 6.5 0 0 1 7.5 4a6.5 6.5 0 1 0 8.5 8.5z',
  leave: 'M8 4H4v12h4M12 6.5 15.5 10 12 13.5M15 10H8',
  play: 'M6 4l10 6-10 6z',
  pause: 'M7 4v12M13 4v12',
  stop: 'M5 5h10v10H5z',
  plus: 'M10 4v12M4 10h12',
  trash: 'M3.5 5.5h13M8 5.5V3.5h4v2M5 5.5 5.7 17h8.6L15 5.5M8.5 8.5v5.5M11.5 8.5v5.5',
  mail: 'M3 6.5 10 11l7-4.5M3 5h14v10H3z',
  download: 'M10 3v9.5M6 8.5l4 4 4-4M4 16.5h12',
  clock: 'M10 17.5a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15zM10 6v4.3l2.8 1.6',
} as const

export type IconName = keyof typeof PATHS

/** A drawing beside words that say the same: screen readers skip it. */
export function Icon({ name, size = 18 }: { readonly name: IconName; readonly size?: number }): JSX.Element {
  return (
    <svg width={size} height={size} viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path
        d={PATHS[name]}
        fill="none"
        stroke="currentColor"
        stroke-width="1.6"
        stroke-linecap="round"
        stroke-linejoin="round"
      />
    </svg>
  )
}

import { useState } from 'preact/hooks'

export type Theme = 'light' | 'dark'

/** The theme is chosen for as long as the page is open: nothing is stored. */
let chosen: Theme | null = null
const prefersDark = matchMedia('(prefers-color-scheme: dark)')

function current(): Theme {
  return chosen ?? (prefersDark.matches ? 'dark' : 'light')
}

function show(): void {
  document.documentElement.dataset['theme'] = current()
}

/** Shows the theme that the system asks for, and follows it until one is chosen. */
export function startTheme(): void {
  show()
  prefersDark.addEventListener('change', show)
}

export function useTheme(): readonly [Theme, () => void] {
  const [theme, setTheme] = useState(current)
  return [
    theme,
    () => {
      chosen = current() === 'dark' ? 'light' : 'dark'
      setTheme(chosen)
      show()
    },
  ]
}

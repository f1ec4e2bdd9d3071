import { useEffect, useState } from 'preact/hooks'

export const PAGES = ['overview', 'rotation', 'instances', 'secrets', 'audit'] as const
export type PageName = (typeof PAGES)[number]

/** The page is in the fragment, which no server sees and which leaves relative addresses alone. */
function current(): PageName {
  const name = location.hash.replace(/^#\/?/, '')
  return PAGES.find((page) => page === name) ?? 'overview'
}

export function usePage(): PageName {
  const [page, setPage] = useState(current)
  useEffect(() => {
    const follow = (): void => setPage(current())
    addEventListener('hashchange', follow)
    return () => removeEventListener('hashchange', follow)
  }, [])
  return page
}

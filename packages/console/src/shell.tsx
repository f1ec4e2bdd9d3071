import type { FunctionComponent, JSX } from 'preact'
import type { KekStatus } from './api/types.ts'
import { Button } from './design/button.tsx'
import { Icon, type IconName } from './design/icon.tsx'
import { useTheme } from './design/theme.ts'
import { useKekStatus } from './live/states.ts'
import { AuditPage } from './pages/audit/audit-page.tsx'
import { InstancesPage } from './pages/instances/instances-page.tsx'
import { OverviewPage } from './pages/overview/overview-page.tsx'
import { RotationPage } from './pages/rotation/rotation-page.tsx'
import { SecretsPage } from './pages/secrets/secrets-page.tsx'
import { PAGES, type PageName, usePage } from './router.ts'
import { useLiveState, useSession } from './session/session.ts'

/** What a page is given: the state of the keys, which every page needs some of. */
export interface PageProps {
  readonly keks: ReturnType<typeof useKekStatus>
}

const CONTENT: Readonly<Record<PageName, FunctionComponent<PageProps>>> = {
  overview: OverviewPage,
  rotation: RotationPage,
  instances: InstancesPage,
  secrets: SecretsPage,
  audit: AuditPage,
}

const LABELS: Readonly<Record<PageName, string>> = {
  overview: 'Overview',
  rotation: 'Rotation',
  instances: 'Instances',
  secrets: 'Secrets',
  audit: 'Audit',
}

const PULSE = {
  connecting: ['', 'Connecting'],
  live: ['live', 'Live'],
  polling: ['', 'Asking every few seconds'],
  lost: ['lost', 'The server does not answer'],
} as const

export function Shell(): JSX.Element {
  const page = usePage()
  const keks = useKekStatus()
  const Content = CONTENT[page]
  return (
    <div class="shell">
      <button
        type="button"
        class="button primary skip"
        onClick={() => document.getElementById('content')?.focus()}
      >
        Skip to the page
      </button>
      <Side page={page} status={keks.data} />
      <main id="content" class="content" tabIndex={-1}>
        <Content keks={keks} />
      </main>
    </div>
  )
}

function Side({ page, status }: { readonly page: PageName; readonly status: KekStatus | null }): JSX.Element {
  const { name, signOut } = useSession()
  const [theme, toggleTheme] = useTheme()
  const other = theme === 'dark' ? 'Light theme' : 'Dark theme'
  const leave = name === null ? 'Sign out' : `Sign out ${name}`
  const [look, words] = PULSE[useLiveState()]
  return (
    <header class="side">
      <div class="brand">
        <span class="mark">
          <Icon name="mail" size={20} />
        </span>
        <span>
          Talos Envelope <small>{status?.namespace ?? ' '}</small>
        </span>
      </div>
      <nav class="tabs" aria-label="Pages">
        {PAGES.map((each) => (
          <a key={each} href={`#/${each}`} aria-current={each === page ? 'page' : undefined}>
            <Icon name={each satisfies IconName} size={20} />
            {LABELS[each]}
          </a>
        ))}
      </nav>
      <div class="foot">
        <div class={`pulse ${look}`} role="status">
          {words}
        </div>
        <Button look="plain" icon={theme === 'dark' ? 'sun' : 'moon'} label={other} onClick={toggleTheme}>
          {other}
        </Button>
        <Button look="plain" icon="leave" label={leave} onClick={signOut}>
          {leave}
        </Button>
      </div>
    </header>
  )
}

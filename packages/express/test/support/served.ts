import type { SecretVault } from '@talos/envelope'
import { type AdminEvent, type AdminRole, bearerAuth } from '../../src/index.ts'
import { type Answer, type Asked, ask } from './client.ts'
import type { ApiOptions, Host, HostOptions, Mounted } from './hosts.ts'
import { openTestVault, type TestStore, type TestVaultOptions, testStore } from './test-vault.ts'

export const TOKENS = {
  read: 'K3nZq0vY7uB1dXw5GmT9sLc2RjHfPa8e-read',
  write: 'K3nZq0vY7uB1dXw5GmT9sLc2RjHfPa8e-write',
  rotate: 'K3nZq0vY7uB1dXw5GmT9sLc2RjHfPa8e-rotate',
  admin: 'K3nZq0vY7uB1dXw5GmT9sLc2RjHfPa8e-admin',
  retire: 'K3nZq0vY7uB1dXw5GmT9sLc2RjHfPa8e-retire',
  root: 'K3nZq0vY7uB1dXw5GmT9sLc2RjHfPa8e-root',
} as const

export const ROLES: readonly AdminRole[] = ['read', 'write', 'rotate', 'admin', 'retire']

export interface ServedOptions {
  readonly store?: TestStore
  readonly vault?: TestVaultOptions
  readonly host?: HostOptions
  readonly router?: Partial<ApiOptions>
}

/** A vault behind a mounted router. Disposing of it closes server and vault. */
export interface Served extends AsyncDisposable {
  readonly url: string
  readonly vault: SecretVault
  readonly store: TestStore
  readonly events: AdminEvent[]
  readonly errors: unknown[]
  /** Asks with the token of all roles, unless another header or token is given. */
  ask(target: string, asked?: Asked): Promise<Answer>
}

export async function serve(host: Host, options: ServedOptions = {}): Promise<Served> {
  const store = options.store ?? testStore()
  const vault = await openTestVault(store, options.vault)
  const events: AdminEvent[] = []
  const named = ROLES.map((role) => ({ name: `${role}er`, token: TOKENS[role], roles: [role] }))
  const api: ApiOptions = {
    vault,
    store: store.store,
    auth: bearerAuth({ tokens: [...named, { name: 'root', token: TOKENS.root, roles: ROLES }] }),
    onEvent: (event) => void events.push(event),
    ...options.router,
  }
  const mounted: Mounted = await host.mount(api, options.host)
  return {
    url: mounted.url,
    vault,
    store,
    events,
    errors: mounted.errors,
    ask: (target, asked = {}) => ask(mounted.url, target, { token: TOKENS.root, ...asked }),
    async [Symbol.asyncDispose]() {
      await mounted[Symbol.asyncDispose]()
      store.before = undefined
      await vault.close()
    },
  }
}

/** Waits for a condition by asking again; for states that come about in the background. */
export async function until<T>(look: () => Promise<T>, isThere: (seen: T) => boolean): Promise<T> {
  for (;;) {
    const seen = await look()
    if (isThere(seen)) return seen
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

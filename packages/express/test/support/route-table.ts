import type { SecretVault } from '@talos/envelope'
import type { Route } from '../../src/route.ts'
import { adminRoutes } from '../../src/routes.ts'

/** The table of routes to read, not to call. */
export function routesForReading(): readonly Route[] {
  return adminRoutes({
    vault: {} as SecretVault,
    linkTo: (path) => path,
    feed: { open: () => new ReadableStream<string>() },
    describe: () => ({}),
    console: async () => null,
  })
}
